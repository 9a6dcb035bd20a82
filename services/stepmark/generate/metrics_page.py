"""Generate the parts of docs/metrics.md that come from code."""

import re
from collections.abc import Iterable, Iterator

from stepmark.generate import rules
from stepmark.telemetry.names import CONFIGURATION, EXTERNAL, METRICS, PAIR, Metric


def with_parts(page: str) -> str:
    """Return the page with every part between `<!-- NAME -->` and `<!-- end -->` generated anew.

    Raises:
        ValueError: the page lacks a part.
    """
    for name, lines in (("series", _series()), ("external", _external()), ("alerts", _alerts())):
        text = "\n".join(lines)
        before, begin, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (begin and end):
            raise ValueError(f"expected <!-- {name} --> and <!-- end --> in the page, found no such part")
        page = f"{before}{begin}{text}\n{end}{after}"
    return page


def _series() -> Iterator[str]:
    others = ("stepmark_comparison_", "stepmark_hub_", "stepmark_controller_", "stepmark_live_")
    groups = {
        "Results: the newest ended run of every configuration": [m for m in METRICS if not m.name.startswith(others)],
        "Comparisons with the scenario's first candidate": _named("stepmark_comparison_"),
        "The hub itself": _named("stepmark_hub_"),
        "The controller on a cluster": _named("stepmark_controller_"),
        "A running plan, from its driver": _named("stepmark_live_"),
    }
    for title, metrics in groups.items():
        yield from ("", f"### {title}", "", "| name | kind | unit | labels | |", "|---|---|---|---|---|")
        for metric in metrics:
            yield f"| `{metric}` | {metric.kind} | {metric.unit} | {_labels(metric)} | {metric.help} |"
    yield ""


def _named(prefix: str) -> list[Metric]:
    return [metric for metric in METRICS if metric.name.startswith(prefix)]


def _labels(metric: Metric) -> str:
    """List a metric's labels. Sets of labels that many metrics share are replaced by their name."""
    for name, known in (("configuration", CONFIGURATION), ("pair", PAIR)):
        if metric.labels[: len(known)] == known:
            return ", ".join([f"*{name}*", *map(_code, metric.labels[len(known) :])])
    return ", ".join(map(_code, metric.labels))


def _code(text: str) -> str:
    return f"`{text}`"


def _external() -> Iterable[str]:
    yield from ("| name | from | shown in | times | |", "|---|---|---|---|---|")
    for one in EXTERNAL:
        yield f"| `{one.name}` | {one.source} | {one.unit} | {one.factor:.12g} | {one.help} |"


def _alerts() -> Iterator[str]:
    for alert in rules.ALERTS:
        waits = "" if alert.lasting == "0m" else f", after {alert.lasting}"
        said = f"{alert.severity}{waits}: {_plain(alert.summary)}. {_plain(alert.about)}"
        yield from ("", f"### {alert.name}", "", said[0].upper() + said[1:])
        yield from ("", alert.what_to_do, "", "```", alert.expr, "```")
    yield ""


def _plain(template: str) -> str:
    """Replace template variables: `{{ $labels.scenario }}` becomes *scenario*."""
    return re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", template)
