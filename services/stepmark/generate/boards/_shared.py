"""Parts that several dashboards share: variables of a scenario, comparisons, and the state of the hub."""

from collections.abc import Callable, Sequence

from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Panel, Variable, choice
from stepmark.generate.boards._panels import BAD, FAIR, GOOD, Column
from stepmark.generate.boards._queries import Labels, with_state
from stepmark.telemetry import names
from stepmark.telemetry.names import Metric


def of_scenario(metric: Metric, kind: Callable[[str, str, str], Variable], labels: Sequence[str]) -> list[Variable]:
    """Return a variable for a scenario that has the metric, and a variable of `kind` for each of these labels."""
    one = f'{metric}{{scenario=~"$scenario"}}'
    return [
        choice("scenario", "Scenario", f"label_values({metric}, scenario)"),
        *(kind(label, label.capitalize(), f"label_values({one}, {label})") for label in labels),
    ]


def claims(about: str, labels: Labels, selector: str, link: str = "") -> Panel:
    """Return a table with the ratio, interval and verdict of each pair."""
    ends = (("ratio", names.PAIR_RATIO), ("low", names.PAIR_LOW), ("high", names.PAIR_HIGH))
    columns = [
        Column(title, with_state(labels, metric, names.PAIR_VERDICT, selector), decimals=3) for title, metric in ends
    ]
    return panels.rows("Against the reference", about, (*labels, "state"), columns, link)


def database_up(title: str, about: str, away: str) -> Panel:
    """Return a panel that shows whether the hub's database answers; `away` is the text if it does not."""
    steps = [(None, BAD), (1, GOOD)]
    return panels.figure(title, about, "none", f"min({names.DATABASE_UP})", steps, {"0": away, "1": "up"})


def most_silent(title: str, about: str) -> Panel:
    """Return a panel with the longest time since a running run was last heard of."""
    return panels.figure(title, about, "s", f"max({names.UNSEEN})", [(None, GOOD), (60, FAIR), (120, BAD)])
