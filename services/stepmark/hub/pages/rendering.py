"""Render templates into answers.

Every page has the same security policy, and every part that a page refreshes has an ETag for its state.
"""

import functools
import hashlib
from contextlib import AbstractContextManager
from typing import Literal

import jinja2
import sqlalchemy as sa
from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from stepmark.hub import rights
from stepmark.hub.pages import assets, words
from stepmark.hub.reads import Namespaces
from stepmark.report import html

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Pace = Literal["on", "slow", "ended"]
"""How a page goes on asking for its parts: "ended" means that they will not change any more."""


def reading(request: Request) -> AbstractContextManager[sa.Connection]:
    """Return a connection to the database as it is now."""
    return request.app.state.database.read()


def seen_by(request: Request) -> Namespaces:
    """Return the namespaces whose runs the caller may see."""
    return request.state.principal.namespaces


@functools.cache
def environment() -> jinja2.Environment:
    """Return the report's template environment with the hub's templates added."""
    made = html.environment(jinja2.PackageLoader("stepmark.hub.pages"))
    made.globals |= {"hub": words, "asset": assets.address}
    return made


def page(request: Request, template: str, values: dict[str, object], status: int = 200) -> HTMLResponse:
    """Return a whole page."""
    known = {"logged_in": rights.COOKIE in request.cookies, "path": request.url.path}
    text = environment().get_template(f"{template}.html.jinja").render(known | values)
    return HTMLResponse(text, status, {"Content-Security-Policy": POLICY})


def problem(request: Request, status: int, title: str, text: str) -> HTMLResponse:
    """Return a page that says what was expected, what was found and what to do."""
    return page(request, "problem", {"title": title, "text": text}, status)


def is_known(request: Request, tag: str) -> bool:
    """Return whether the page that asks has this state already."""
    return request.headers.get("if-none-match") == tag


def part(request: Request, template: str, tag: str, pace: Pace, values: dict[str, object]) -> Response:
    """Return a part of a page as it is now, or 304 without a body if the page has this state already."""
    headers = {"ETag": tag, "Content-Security-Policy": POLICY, "Stepmark-Live": pace}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    text = environment().get_template(f"parts/{template}.html.jinja").render(values)
    return HTMLResponse(text, headers=headers)


def tag_of(*texts: str | None) -> str:
    """Return an ETag for content made of these texts."""
    return f'"{hashlib.sha256(repr(texts).encode()).hexdigest()[:32]}"'
