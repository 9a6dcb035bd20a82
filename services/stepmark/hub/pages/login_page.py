"""A browser's way in: a token that may read, kept in a cookie that is good for looking only."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from stepmark.hub import rights
from stepmark.hub.pages.rendering import page, problem

router = APIRouter()


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """Where the guard sends whoever may not look; `next` is where they wanted to go."""
    return page(request, "login", {"next": _local(next), "wrong": False})


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Sets the cookie, if the token may read."""
    if _from_elsewhere(request):
        return problem(request, 403, "Not from here", "Expected the form of this hub, found another site's.")
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, target = fields.get("token", [""])[0].strip(), _local(fields.get("next", ["/"])[0])
    if not await run_in_threadpool(_may_read, request, token):
        return page(request, "login", {"next": target, "wrong": True}, 401)
    answer = RedirectResponse(target, 303)
    secure = request.app.state.settings.cookies_are_secure
    answer.set_cookie(rights.COOKIE, token, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Forgets the cookie; the token stays good."""
    if _from_elsewhere(request):
        return problem(request, 403, "Not from here", "Expected the button of this hub, found another site's.")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(rights.COOKIE, httponly=True, samesite="strict")
    return answer


def _may_read(request: Request, token: str) -> bool:
    with request.app.state.database.read() as connection:
        principal = request.app.state.callers.principal(connection, token)
    return principal is not None and "read" in principal.rights


def _from_elsewhere(request: Request) -> bool:
    """Browsers say which site a form stands on."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _local(address: str) -> str:
    """A path of this hub: nobody is sent elsewhere after logging in."""
    plain = address.isprintable() and address.isascii() and "\\" not in address
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"
