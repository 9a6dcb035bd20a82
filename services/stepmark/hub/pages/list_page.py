"""The list of runs: filters, paging, and the part of the page that refreshes itself."""

import time
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stepmark.hub import reads
from stepmark.hub.pages.rendering import page, part, problem, reading, seen_by, tag_of
from stepmark.hub.views import Filters, Page

router = APIRouter()

_FILTERS = ("name", "namespace", "outcome", "search")


@router.get("/")
def runs(request: Request) -> Response:
    """Return the whole page."""
    asked = _asked(request)
    try:
        filters = Filters.model_validate(asked)
        with reading(request) as connection:
            found = reads.runs(connection, filters, seen_by(request))
            names = reads.names(connection, seen_by(request))
    except ValueError:
        text = "Expected a scenario, an outcome or a part of a name, found something longer or of another kind."
        return problem(request, 422, "This filter is not understood", text)
    known: dict[str, object] = {"filters": filters, "names": names, "tag": _tag(found)}
    return page(request, "runs", known | _addresses(asked, found.next_cursor) | _rows(request, found))


@router.get("/rows")
def rows(request: Request) -> Response:
    """Return only the rows of the newest runs."""
    try:
        with reading(request) as connection:
            filters = Filters.model_validate(_asked(request))
            found = reads.runs(connection, filters, seen_by(request))
    except ValueError:
        return Response(status_code=422)
    return part(request, "rows", _tag(found), "on", _rows(request, found))


def _asked(request: Request) -> dict[str, str]:
    """Return the fields of the form that are not empty."""
    return {name: text for name in (*_FILTERS, "cursor") if (text := request.query_params.get(name, "").strip())}


def _addresses(asked: dict[str, str], next_cursor: str | None) -> dict[str, object]:
    newest = urlencode({name: asked[name] for name in _FILTERS if name in asked})
    older = f"/?{urlencode(asked | {'cursor': next_cursor})}" if next_cursor else None
    return {"older": older, "newest": f"/?{newest}", "live": f"/rows?{newest}"}


def _rows(request: Request, found: Page) -> dict[str, object]:
    address = request.app.state.settings.public_url or str(request.base_url).rstrip("/")
    filtered = any(name in _FILTERS for name in _asked(request))
    return {"page": found, "now": time.time(), "filtered": filtered, "address": address}


def _tag(found: Page) -> str:
    return tag_of(found.model_dump_json())
