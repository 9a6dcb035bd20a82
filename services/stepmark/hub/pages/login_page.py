"""The login of a browser: a token that may read opens a session, which may only read; its word is the cookie."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from stepmark.hub import rights, sessions
from stepmark.hub.guard import peer_of
from stepmark.hub.logs import audit
from stepmark.hub.pages.rendering import page, problem
from stepmark.hub.rights import Principal

router = APIRouter()


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """Return the login page, to which the guard redirects callers without a session.

    `next` is where they wanted to go.
    """
    return page(request, "login", {"next": _local(next), "wrong": False})


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Begin a session and set its cookie, if the token may read. The token itself is not stored."""
    if _from_elsewhere(request):
        return problem(
            request,
            403,
            "Request from another site",
            "Expected the login form of this hub, found another site's. Log in on this hub's own page.",
        )
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, target = fields.get("token", [""])[0].strip(), _local(fields.get("next", ["/"])[0])
    who = await run_in_threadpool(_reader, request, token)
    audit("login" if who else "login refused", by=who.name if who else None, peer=peer_of(request.scope))
    if who is None:
        return page(request, "login", {"next": target, "wrong": True}, 401)
    word = await run_in_threadpool(sessions.begin, request.app.state.database, who)
    answer = RedirectResponse(target, 303)
    secure = request.app.state.settings.cookies_are_secure
    answer.set_cookie(
        rights.COOKIE, word, max_age=sessions.LASTS_SECONDS, httponly=True, samesite="strict", secure=secure
    )
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session and delete its cookie; the token stays good."""
    if _from_elsewhere(request):
        return problem(
            request,
            403,
            "Request from another site",
            "Expected the button of this hub, found another site's. Log out on this hub's own page.",
        )
    word = request.cookies.get(rights.COOKIE)
    who = await run_in_threadpool(sessions.end, request.app.state.database, word)
    audit("logout", by=who, peer=peer_of(request.scope))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(rights.COOKIE, httponly=True, samesite="strict")
    return answer


def _reader(request: Request, token: str) -> Principal | None:
    """Return whose token it is if that caller may read, else None."""
    with request.app.state.database.read() as connection:
        principal = request.app.state.callers.principal(connection, token)
    return principal if principal is not None and "read" in principal.rights else None


def _from_elsewhere(request: Request) -> bool:
    """Return whether the form is on another site, which browsers report in a header."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _local(address: str) -> str:
    """Return the address if it is a path of this hub, else "/", so that a login never leads to another site."""
    plain = address.isprintable() and address.isascii() and "\\" not in address
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"
