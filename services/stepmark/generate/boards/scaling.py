"""The dashboard of one scenario at one level: how throughput grows with the workers, and what limits it."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built, choice
from stepmark.generate.boards._panels import SAMPLES
from stepmark.generate.boards._queries import by, newest
from stepmark.generate.boards._shared import of_scenario
from stepmark.telemetry import names
from stepmark.telemetry.names import Metric

_PAGE = Page(
    "stepmark-scaling",
    "Scaling",
    "Speed-up and efficiency against one worker of the same candidate, and where a step waits. Of several batches, "
    "bars show the highest value.",
)
_CELLS = 'scenario=~"$scenario", execution=~"$execution", precision=~"$precision"'
_LEGEND = "{{candidate}} w{{workers}} {{batch}}"


def board() -> Dashboard:
    """Return the dashboard `Scaling`."""
    variables = of_scenario(names.SPEEDUP, choice, ("execution", "precision"))
    return built(_PAGE, variables, [_growth(), _waiting(), _over_time()])


def _bars(title: str, about: str, unit: str, metric: Metric) -> Panel:
    expression = by(("candidate", "workers"), metric, _CELLS)
    return panels.by_number(title, about, unit, expression, "workers", "by workers")


def _growth() -> Row:
    speedup = _bars(
        "Speed-up", "Throughput over that of one worker; the number of workers is ideal.", "none", names.SPEEDUP
    )
    efficiency = _bars(
        "Efficiency",
        "Speed-up divided by the workers: 100 % is ideal; more than 105 % is worth a doubt.",
        "percentunit",
        names.EFFICIENCY,
    )
    throughput = _bars("Throughput", "Samples per second of the whole job.", SAMPLES, names.THROUGHPUT)
    return Row("Growth", 10, ((8, speedup), (8, efficiency), (8, throughput)))


def _waiting() -> Row:
    exposed = _bars(
        "Exposed communication",
        "Share of a step that waits for the gradients' exchange, which compute does not hide.",
        "percentunit",
        names.EXPOSED,
    )
    wait = _bars(
        "Waiting for slower ranks",
        "Share of a step, mean over the ranks. High with one slow worker or uneven batches.",
        "percentunit",
        names.WAIT,
    )
    memory = _bars("Peak memory of a worker", "Grows with the workers where buffers do.", "bytes", names.MEMORY)
    return Row("Where a step waits", 10, ((8, exposed), (8, wait), (8, memory)))


def _over_time() -> Row:
    efficiency = panels.graph(
        "Efficiency over time",
        "A step in a line is a new run.",
        "percentunit",
        {_LEGEND: newest(names.EFFICIENCY, _CELLS)},
    )
    step = panels.graph(
        "Median step time over time",
        "With weak scaling, ideal is the same for every number of workers.",
        "s",
        {_LEGEND: newest(names.STEP, f'{_CELLS}, stat="p50"')},
    )
    return Row("Over time", 10, ((12, efficiency), (12, step)))
