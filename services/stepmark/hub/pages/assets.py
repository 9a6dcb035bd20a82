"""The style sheet and the script, at addresses with a hash of their content, so that browsers may cache them."""

import functools
import hashlib
from importlib import resources

from fastapi import APIRouter
from fastapi.responses import Response

from stepmark.report import html

router = APIRouter()

_TYPES = {"style.css": "text/css", "live.js": "text/javascript"}
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return one of the two files."""
    if name not in _TYPES:
        return Response(status_code=404)
    return Response(_text(name), media_type=_TYPES[name], headers=_KEEP)


@functools.cache
def address(name: str) -> str:
    """Return the address that pages use for a file."""
    return f"/static/{name}?v={hashlib.sha256(_text(name).encode()).hexdigest()[:16]}"


@functools.cache
def _text(name: str) -> str:
    """Return the content of a file. The style sheet begins with the report's own."""
    own = (resources.files("stepmark.hub.pages") / "static" / name).read_text(encoding="utf-8")
    if name != "style.css":
        return own
    return html.environment().get_template("sections/style.css.jinja").render() + own
