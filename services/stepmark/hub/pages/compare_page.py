"""The page of two runs side by side: the result of the gate, or why there is none."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from stepmark.analysis.gate import Choices, Unlike, gate
from stepmark.analysis.gate_report import GateCell, GateReport, sentence
from stepmark.errors import CannotRun
from stepmark.hub import reads, sides
from stepmark.hub.pages.rendering import page, reading, seen_by
from stepmark.hub.views import Filters
from stepmark.report.gate import answer, history_lines, ratio, unlike_lines, warning_lines
from stepmark.report.plots import strips, svg
from stepmark.report.words import milliseconds

router = APIRouter()

CLASSES = {
    "slower": "bad", "faster": "good", "no measurable difference": "same", "inconclusive": "open",
    "no longer runs": "bad", "missing in new": "warn", "not measured in old": "none", "measured in neither": "none",
}  # fmt: skip


_RECENT = 50
_HEADINGS = ("cell", "launches", "old ms", "new ms", "new / old", "verdict")


@dataclass(frozen=True)
class Asked:
    """The two runs to compare. `machines` and `settings` allow a comparison although these differ."""

    old: str = ""
    new: str = ""
    machines: bool = False
    settings: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why there is no comparison, with one line for each difference.

    `machine` and `settings` say which check boxes would allow it.
    """

    lines: list[str]
    machine: bool = False
    settings: bool = False


@dataclass(frozen=True)
class Compared:
    """The result of a comparison: the gate's report, the scale of the plots, and each cell with its plot."""

    report: GateReport
    scale: Markup
    rows: list[tuple[GateCell, Markup]]


@router.get("/compare")
def compare(
    request: Request,
    old: str = "",
    new: str = "",
    machines: str = "",
    settings: str = "",
    run: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Return the page of two runs compared by the gate.

    `run`, given twice, names the two runs that were ticked in the list, in any order.
    """
    asked = Asked(old.strip(), new.strip(), bool(machines), bool(settings))
    with reading(request) as connection:
        if run is not None:
            return _ticked(request, connection, run)
        result = _compared(connection, asked, seen_by(request)) if asked.old and asked.new else None
        return _page(request, connection, asked, result)


def _ticked(request: Request, connection: sa.Connection, ids: list[str]) -> Response:
    views = [view.run for run_id in ids[:2] if (view := reads.run(connection, run_id)) is not None]
    found = [run for run in views if request.state.principal.sees(run.namespace)]
    if len(ids) != 2 or len(found) != 2:
        refusal = Refusal([f"expected two ticked runs, found {len(ids)}. Tick two in the list of runs."])
        return _page(request, connection, Asked(), refusal)
    old, new = sorted(found, key=lambda one: one.created_at)
    return RedirectResponse(f"/compare?{urlencode({'old': old.run_id, 'new': new.run_id})}", 303)


def _page(request: Request, connection: sa.Connection, asked: Asked, result: Compared | Refusal | None) -> Response:
    recent = reads.runs(connection, Filters(limit=_RECENT), seen_by(request)).runs
    shown: dict[str, object] = {"refusal": result if isinstance(result, Refusal) else None, "result": None}
    if isinstance(result, Compared):
        shown = {"refusal": None, "result": result, **_texts(result.report)}
    return page(request, "compare", {"asked": asked, "recent": recent, "classes": CLASSES, "ratio": ratio, **shown})


def _texts(report: GateReport) -> dict[str, object]:
    rows = [
        [c.key, f"{c.old_launches}, {c.new_launches}", milliseconds(c.old_seconds), milliseconds(c.new_seconds),
         ratio(c.ratio), c.verdict]
        for c in report.cells
    ]  # fmt: skip
    changed = [sentence(one) for one in report.changed]
    return {"answer": answer(report), "unlike": [*unlike_lines(report), *warning_lines(report)], "changed": changed,
            "history": history_lines(report), "table_rows": rows, "headings": _HEADINGS}  # fmt: skip


def _compared(connection: sa.Connection, asked: Asked, seen: reads.Namespaces) -> Compared | Refusal:
    found = {run_id: sides.side(connection, run_id, seen) for run_id in dict.fromkeys((asked.old, asked.new))}
    missing = [run_id for run_id, side in found.items() if side is None]
    if missing:
        return Refusal([f"{name}: expected a run that has figures, found none of this name" for name in missing])
    old, new = found[asked.old], found[asked.new]
    assert old is not None
    assert new is not None
    earlier = sides.earlier(connection, asked.new, (asked.old, asked.new))
    try:
        return _laid_out(gate(old, new, Choices(None, asked.machines, asked.settings), earlier))
    except Unlike as unlike:
        return _refusal(unlike)
    except CannotRun as nothing:
        return Refusal([str(nothing)])


def _refusal(unlike: Unlike) -> Refusal:
    kinds = {one.kind for one in unlike.unlike}
    lines = [sentence(one) for one in unlike.unlike] or [str(unlike)]
    return Refusal(lines, "machine" in kinds, "settings" in kinds)


def _laid_out(report: GateReport) -> Compared:
    known = [cell.ratio for cell in report.cells if cell.ratio is not None]
    axis = svg.ratio_axis([end for r in known for end in (r.value, r.low, r.high) if end is not None])
    rows = [(cell, _plot(axis, cell, report.minimum_effect)) for cell in report.cells]
    return Compared(report, svg.scale(axis, "ratio of step times"), rows)


def _plot(axis: svg.Axis, cell: GateCell, effect: float) -> Markup:
    r = cell.ratio
    if r is None:
        return Markup("")
    title = f"{cell.key}: new over old {ratio(r)}: {cell.verdict}"
    return strips.ratio(axis, r.value, r.low, r.high, effect, CLASSES[cell.verdict], title)
