"""The page of one run: its state, the report of what is measured so far, downloads, and all attempts."""

import functools
import time

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from stepmark.analysis.summary import Summary
from stepmark.hub import reads
from stepmark.hub.pages.rendering import Pace, environment, is_known, page, part, problem, reading, seen_by, tag_of
from stepmark.hub.views import ExecutionView, Filters, RunView, StoredSummary
from stepmark.report import views

router = APIRouter()

_PARTS = ("state", "record", "report")
_FINAL = ("complete", "cancelled")
_EARLIER = 20
_REPORTS_KEPT = 8  # rendering one with 200 cells takes half a second


@router.get("/runs/{run_id}")
def run(request: Request, run_id: str) -> Response:
    """Return the whole page."""
    with reading(request) as connection:
        view = reads.run(connection, run_id)
        if view is None:
            return _missing(request, run_id)
        older = {"limit": _EARLIER, "cursor": reads.cursor_after(view.run)}
        earlier = Filters(name=view.run.name, namespace=view.run.namespace, **older)
        others = reads.runs(connection, earlier, seen_by(request)).runs
        stored = reads.summary(connection, run_id)
    return page(request, "run", {"others": others, "tags": _tags(view, stored), **_values(view, stored)})


@router.get("/runs/{run_id}/{name}")
def run_part(request: Request, run_id: str, name: str) -> Response:
    """Return one part of the page as it is now."""
    if name not in _PARTS:
        return problem(request, 404, "No such page", "Expected a page of this hub, found none at this address.")
    with reading(request) as connection:
        view = reads.run(connection, run_id)
        stored = reads.summary(connection, run_id)
    if view is None:
        return _missing(request, run_id)
    tag = _tags(view, stored)[name]
    values = {} if is_known(request, tag) else _values(view, stored)
    return part(request, name, tag, _pace(view), values)


def _missing(request: Request, run_id: str) -> Response:
    text = f"Expected a run that this hub has, found none named {run_id}. It may have been deleted."
    return problem(request, 404, "No such run", text)


def _tags(view: RunView, stored: StoredSummary | None) -> dict[str, str]:
    """Return the ETag of each part, made of its content without the ages shown in it."""
    figures = None if stored is None else stored.etag
    whole = tag_of(view.model_dump_json(), figures)
    return {"state": whole, "record": whole, "report": tag_of(figures, view.problem)}


def _values(view: RunView, stored: StoredSummary | None) -> dict[str, object]:
    document = None if stored is None else stored.document
    return {
        "view": view,
        "run": view.run,
        "pace": _pace(view),
        "counting": _counting(view),
        "now": time.time(),
        "has_summary": document is not None,
        "report": None if document is None else _report(document),
        "problem": view.problem,
    }


def _pace(view: RunView) -> Pace:
    """Return how the page goes on refreshing.

    A lost run may be heard of again, and one that ended early may be resumed or tried once more.
    """
    if not view.settled:
        return "on"
    return "ended" if view.run.outcome in _FINAL else "slow"


def _counting(view: RunView) -> ExecutionView | None:
    """Return the execution that counts, or None."""
    tried = (one for attempt in view.attempts for one in attempt.executions)
    return next((one for one in tried if one.execution_id == view.run.execution_id), None)


@functools.lru_cache(_REPORTS_KEPT)
def _report(document: str) -> Markup:
    """Return the sections of the report, or an empty text if this version cannot read the summary."""
    try:
        summary = Summary.model_validate_json(document)
    except ValueError:
        return Markup("")
    text = environment().get_template("parts/sections.html.jinja").render(s=summary, v=views.page(summary))
    return Markup(text)  # noqa: S704  (escaped by the template)
