"""The dashboard of a scenario that times collectives: latency and bus bandwidth by the size of the message."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built, choice
from stepmark.generate.boards._panels import Column
from stepmark.generate.boards._queries import by, newest
from stepmark.generate.boards._shared import of_scenario
from stepmark.telemetry import names
from stepmark.telemetry.names import Metric

_PAGE = Page(
    "stepmark-collectives",
    "Collectives",
    "How fast workers exchange messages of each size: latency, and bus bandwidth as nccl-tests define it.",
)
_CHOSEN = ("collective", "workers", "precision")
_CELLS = ", ".join(f'{label}=~"${label}"' for label in ("scenario", *_CHOSEN))
_WHICH = ("candidate", "collective", "workers", "precision", "message_bytes")
_LEGEND = "{{candidate}} {{message_bytes}} B"


def board() -> Dashboard:
    """Return the dashboard `Collectives`."""
    return built(_PAGE, of_scenario(names.BUS, choice, _CHOSEN), [_by_size(), _figures(), _over_time()])


def _bars(title: str, about: str, unit: str, metric: Metric) -> Panel:
    expression = by(("candidate", "message_bytes"), metric, _CELLS)
    return panels.by_number(title, about, unit, expression, "message_bytes", "by bytes of the message")


def _by_size() -> Row:
    latency = _bars("Latency", "Mean time of one collective until its last rank has ended it.", "s", names.LATENCY)
    bus = _bars(
        "Bus bandwidth",
        "What each link carries: it can be compared with the hardware's, whatever the number of workers.",
        "Bps",
        names.BUS,
    )
    return Row("By size", 10, ((12, latency), (12, bus)))


def _figures() -> Row:
    columns = [
        Column("latency", by(_WHICH, names.LATENCY, _CELLS), "s", 6),
        Column("bus bandwidth", by(_WHICH, names.BUS, _CELLS), "Bps"),
        Column("low", by(_WHICH, names.BUS_LOW, _CELLS), "Bps"),
        Column("high", by(_WHICH, names.BUS_HIGH, _CELLS), "Bps"),
    ]
    table = panels.rows("Each size", "Low and high are the ends of the bandwidth's 95 % interval.", _WHICH, columns)
    return Row("Figures", 10, ((24, table),))


def _over_time() -> Row:
    bus = panels.graph(
        "Bus bandwidth over time", "A step in a line is a new run.", "Bps", {_LEGEND: newest(names.BUS, _CELLS)}
    )
    return Row("Over time", 10, ((24, bus),))
