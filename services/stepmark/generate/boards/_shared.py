"""What several boards show alike: variables of a scenario, what may be claimed, how the hub stands."""

from collections.abc import Callable, Sequence

from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Panel, Variable, choice
from stepmark.generate.boards._panels import BAD, FAIR, GOOD, Column
from stepmark.generate.boards._queries import Labels, with_state
from stepmark.telemetry import names
from stepmark.telemetry.names import Metric


def of_scenario(metric: Metric, kind: Callable[[str, str, str], Variable], labels: Sequence[str]) -> list[Variable]:
    """One scenario that has the metric, and of this one the values of each label, chosen by a variable of `kind`."""
    one = f'{metric}{{scenario=~"$scenario"}}'
    return [
        choice("scenario", "Scenario", f"label_values({metric}, scenario)"),
        *(kind(label, label.capitalize(), f"label_values({one}, {label})") for label in labels),
    ]


def claims(about: str, labels: Labels, selector: str, link: str = "") -> Panel:
    """What may be claimed of each pair."""
    ends = (("ratio", names.PAIR_RATIO), ("low", names.PAIR_LOW), ("high", names.PAIR_HIGH))
    columns = [
        Column(title, with_state(labels, metric, names.PAIR_VERDICT, selector), decimals=3) for title, metric in ends
    ]
    return panels.rows("Against the reference", about, (*labels, "state"), columns, link)


def database_up(title: str, about: str, away: str) -> Panel:
    steps = [(None, BAD), (1, GOOD)]
    return panels.figure(title, about, "none", f"min({names.DATABASE_UP})", steps, {"0": away, "1": "up"})


def most_silent(title: str, about: str) -> Panel:
    """Of the running runs."""
    return panels.figure(title, about, "s", f"max({names.UNSEEN})", [(None, GOOD), (60, FAIR), (120, BAD)])
