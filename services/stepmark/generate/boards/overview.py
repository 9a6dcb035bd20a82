"""The first dashboard: what is known, what is claimed, and what needs attention."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _clusters
from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built, choices
from stepmark.generate.boards._panels import BAD, FAIR, GOOD, PLAIN, SAMPLES, Column
from stepmark.generate.boards._queries import CELL_LEGEND, SCENARIO, Labels, by, count_or_zero, newest, proven, state
from stepmark.generate.boards._shared import claims, database_up
from stepmark.telemetry import names
from stepmark.telemetry.names import CONFIGURATION, NAMESPACE, PAIR, Metric

_PAGE = Page(
    "stepmark-overview",
    "Overview",
    "All scenarios of a hub: the newest result of every configuration, and how the newest runs stand.",
)
_RUN = ("scenario", NAMESPACE, "outcome", "reason")


def board() -> Dashboard:
    """Return the dashboard `Overview`."""
    scenario = choices("scenario", "Scenario", f"label_values({names.RUN_STATE}, scenario)")
    return built(_PAGE, [scenario], [_now(), _verdicts(), _results(), _over_time()])


def _now() -> Row:
    hub = database_up("Hub", "Whether the hub answers, and reaches its database.", "database away")
    scenarios = panels.figure(
        "Scenarios",
        "Scenarios that have a run.",
        "none",
        f'max({names.CONFIGURATIONS}{{what="scenario"}})',
        [(None, PLAIN)],
    )
    active = panels.figure(
        "Runs active",
        "Runs that are measured now.",
        "none",
        f'max({names.RUNS}{{outcome="running"}})',
        [(None, PLAIN), (1, "blue")],
    )
    failed = _trouble(
        "Newest run failed or lost",
        "Scenarios whose newest run gave no complete result.",
        (_RUN, names.RUN_STATE, 'outcome=~"failed|lost"'),
        BAD,
    )
    unlike = _trouble(
        "Not comparable",
        "Configurations that train another model than the reference: their speed says nothing.",
        (CONFIGURATION, names.PARITY, 'state="not-comparable"'),
        BAD,
    )
    unsteady = _trouble(
        "Without a steady result",
        "Configurations whose verdict is another than `steady`.",
        (CONFIGURATION, names.VERDICT, 'state!="steady"'),
        FAIR,
    )
    return Row("Now", 4, tuple((4, panel) for panel in (hub, scenarios, active, failed, unlike, unsteady)))


def _trouble(title: str, about: str, found: tuple[Labels, Metric, str], color: str) -> Panel:
    """Return a panel that counts series in trouble. `found` is the labels, the metric, and the selector of those."""
    labels, metric, selector = found
    count = count_or_zero(by(labels, metric, selector), by(labels, metric))
    return panels.figure(title, about, "none", count, [(None, GOOD), (1, color)])


def _verdicts() -> Row:
    runs = panels.rows(
        "Newest runs",
        "How the newest run of each scenario stands. A scenario opens its comparison.",
        _RUN,
        [Column("", state(_RUN[:2], names.RUN_STATE, SCENARIO, _RUN[2:]))],
        link="stepmark-frameworks",
    )
    pairs = claims(
        "Step time over the reference's, with its 95 % interval: below 1 is faster. The state is what may be claimed.",
        PAIR,
        SCENARIO,
        link="stepmark-frameworks",
    )
    return Row("Verdicts", 9, ((8, runs), (16, pairs)))


def _results() -> Row:
    figures = proven(CONFIGURATION, names.THROUGHPUT, SCENARIO)
    fastest = panels.rows(
        "Fastest of each scenario",
        "The highest throughput of those that parity has not refused: see the comparison before choosing one.",
        CONFIGURATION,
        [Column("throughput", f"topk by ({_clusters.labels(_RUN[:2])}) (1, {figures})", SAMPLES)],
        link="stepmark-frameworks",
    )
    ended = f"{names.LAST_RUN}{{{SCENARIO}}}"
    age = panels.bars(
        "Oldest result",
        "Time since the run that a scenario's oldest shown result is of.",
        "s",
        {f"{{{{{NAMESPACE}}}}} {{{{scenario}}}}": f"time() - min by ({_clusters.labels(_RUN[:2])}) ({ended})"},
    )
    return Row("Results", 9, ((16, fastest), (8, age)))


def _over_time() -> Row:
    throughput = panels.graph(
        "Throughput over time",
        "The newest throughput of every configuration: a step in a line is a new run.",
        SAMPLES,
        {f"{{{{{NAMESPACE}}}}} {{{{scenario}}}} {CELL_LEGEND}": newest(names.THROUGHPUT, SCENARIO)},
    )
    runs = panels.graph(
        "Stored runs",
        "Runs by how they stand.",
        "short",
        {"{{outcome}} {{reason}}": f"max by (outcome, reason) ({names.RUNS}) > 0"},
        stacked=True,
    )
    return Row("Over time", 10, ((16, throughput), (8, runs)))
