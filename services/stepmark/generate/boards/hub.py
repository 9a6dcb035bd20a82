"""The dashboard of the hub: whether what runners send is taken, stored and turned into figures."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _clusters
from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built
from stepmark.generate.boards._panels import BAD, FAIR, GOOD, PLAIN
from stepmark.generate.boards._queries import percentiles
from stepmark.generate.boards._shared import database_up, most_silent
from stepmark.telemetry import names
from stepmark.telemetry.names import External, Metric

_PAGE = Page(
    "stepmark-hub", "Hub health", "Whether what runners send is taken, stored and turned into figures.", since="now-6h"
)


def board() -> Dashboard:
    """Return the dashboard `Hub health`."""
    return built(_PAGE, [], [_now(), _ingest(), _derivation(), _bounds()])


def _now() -> Row:
    up = database_up("Database", "Whether it has answered the last scrape.", "away")
    size = panels.figure("Database size", "On disk.", "bytes", f"max({names.DATABASE_BYTES})", [(None, PLAIN)])
    queue = panels.figure(
        "Ended runs without figures",
        "Executions that have ended and whose records are not derived yet.",
        "none",
        f'max({names.QUEUE}{{state="ended"}})',
        [(None, GOOD), (1, FAIR), (20, BAD)],
    )
    unseen = most_silent(
        "Most silent running run", "Since the hub last heard of it; no data means that none is running."
    )
    version = _word("Version", "Of stepmark.", "version", names.BUILD)
    schema = _word("Schema", "Revision of the tables.", "revision", names.SCHEMA)
    return Row("Now", 4, tuple((4, panel) for panel in (up, size, queue, unseen, version, schema)))


def _word(title: str, about: str, label: str, metric: Metric) -> Panel:
    """Return a panel that shows a label of a series whose value is always 1."""
    return panels.names(title, about, {f"{{{{{label}}}}}": f"max by ({label}) ({metric})"})


def _per_second(metric: Metric, labels: str = "") -> str:
    by = f" by ({labels})" if labels else ""
    return f"sum{by} (rate({metric}[$__rate_interval]))"


def _ingest() -> Row:
    received = panels.graph(
        "Calls accepted",
        "By what was sent. `repeated` changes nothing; `conflict` and `superseded` were refused by the record itself.",
        "reqps",
        {"{{kind}} {{result}}": f"{_per_second(names.RECEIVED, 'kind, result')} > 0 or 0 * sum({names.RECEIVED})"},
    )
    refused = panels.graph(
        "Calls refused",
        "By reason. `unavailable` is the hub's own trouble; the others are the callers'.",
        "reqps",
        {"{{reason}}": _per_second(names.REFUSED, "reason")},
    )
    samples = panels.graph(
        "Step samples received", "Steps x ranks.", "si:samples/s", {"samples": _per_second(names.STEP_SAMPLES)}
    )
    return Row("Ingest", 9, ((9, received), (9, refused), (6, samples)))


def _derivation() -> Row:
    waiting = panels.graph(
        "Waiting for figures",
        "Executions with records whose figures are not derived yet. Some executions of running runs always wait.",
        "short",
        {"{{state}}": f"max by (state) ({names.QUEUE})"},
    )
    seconds = panels.graph("Time to derive", "Of one execution's figures.", "s", percentiles(names.DERIVE_SECONDS))
    errors = panels.graph(
        "Failures",
        "Derivations that failed, and calls that the database failed.",
        "ops",
        {
            "derivations": f'sum(rate({names.DERIVATIONS}{{result="failed"}}[$__rate_interval]))',
            "database": _per_second(names.DATABASE_ERRORS),
        },
    )
    return Row("Figures", 9, ((9, waiting), (9, seconds), (6, errors)))


def _of_hub(external: External) -> str:
    return f"{external.name} and on ({_clusters.labels(('job', 'instance'))}) {names.DATABASE_UP}"


def _bounds() -> Row:
    stored = panels.graph(
        "Configurations",
        "With a newest result.",
        "short",
        {"{{what}}": f"max by (what) ({names.CONFIGURATIONS})"},
    )
    left_out = panels.graph(
        "Left out of /metrics",
        "By reason: the limit of series; a name that is no label; the same labels twice. The hub's pages show them.",
        "short",
        {"{{what}} {{reason}}": f"max by (what, reason) ({names.LEFT_OUT})"},
        stacked=True,
    )
    series = panels.graph(
        "Series of a scrape", "At most 1,000.", "short", {"{{instance}}": _of_hub(names.SCRAPE_SAMPLES)}
    )
    seconds = panels.graph(
        "Time of a scrape",
        "Duration of a scrape as Prometheus sees it, and the part of it that reads the database.",
        "s",
        {
            "{{instance}} scrape": _of_hub(names.SCRAPE_SECONDS),
            "{{instance}} database": str(names.READ_SECONDS),
        },
    )
    return Row("Bounds", 9, ((6, stored), (6, left_out), (6, series), (6, seconds)))
