"""The page of a scenario: its figures over its runs, and what changed between them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stepmark.analysis.history import History, HistoryCell, HistoryPoint, HistoryRun
from stepmark.hub import reads
from stepmark.hub.pages import history_plot
from stepmark.hub.pages.rendering import page, problem, reading, seen_by
from stepmark.hub.refusals import Refused
from stepmark.report.words import UNKNOWN

router = APIRouter()

_Row = tuple[HistoryRun, HistoryRun | None, list[tuple[str, str, str]]]


@router.get("/scenarios/{name}")
def scenario(request: Request, name: str, namespace: str | None = None) -> Response:
    """Return the whole page."""
    with reading(request) as connection:
        try:
            found = reads.scenario_named(connection, name, namespace, seen_by(request))
        except Refused as several:
            return problem(request, several.status, "Several scenarios have this name", several.message)
        history = None if found is None else reads.history(connection, found)
    if found is None or history is None:
        text = f"Expected a scenario that has runs here, found none named {name}."
        return problem(request, 404, "No such scenario", text)
    shown: dict[str, object] = {"history": history, "namespace": found.namespace or ""}
    shown |= {"charts": history_plot.charts(history), "rows": _rows(history), "rows_of": _figures}
    return page(request, "scenario", shown)


def _rows(history: History) -> list[_Row]:
    """Return the runs, newest first: each with the run before it, and its cells that changed, how and why."""
    changed: dict[str, list[tuple[str, str, str]]] = {}
    for cell in history.cells:
        for one in cell.points:
            if one.change is not None:
                changed.setdefault(one.run_id, []).append((cell.key, one.change, one.text))
    before = (None, *history.runs[:-1])
    rows = zip(history.runs, before, strict=False)
    return [(run, earlier, changed.get(run.run_id, [])) for run, earlier in rows][::-1]


def _figures(cell: HistoryCell) -> list[list[str]]:
    """Return the rows of a cell's table, newest run first."""
    return [_figure_row(cell, index) for index in reversed(range(len(cell.points)))]


def _figure_row(cell: HistoryCell, index: int) -> list[str]:
    point = cell.points[index]
    rate = point.samples_per_second
    if rate is None:
        return [point.run_id, UNKNOWN, point.verdict, _claim(point)]
    interval = "" if rate.low is None or rate.high is None else f" [{rate.low:,.6g}, {rate.high:,.6g}]"
    return [point.run_id, f"{rate.median:,.6g}{interval}", point.verdict, _claim(point)]


def _claim(point: HistoryPoint) -> str:
    return f"{point.change}: {point.text}" if point.change else UNKNOWN
