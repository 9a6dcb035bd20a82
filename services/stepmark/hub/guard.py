"""The checks before every handler: who calls, what they may do, how large and how slow a body may be.

The caller, the rights and the announced size are checked before the body is read, so that a large body of a stranger
costs nothing. The guard also adds the security headers.
"""

import asyncio
from urllib.parse import quote

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepmark.errors import printable
from stepmark.hub import rights, sessions
from stepmark.hub.callers import Callers
from stepmark.hub.database import Database
from stepmark.hub.health import Readiness
from stepmark.hub.logs import Refusals
from stepmark.hub.refusals import Refused, log, not_found, unavailable
from stepmark.hub.rights import ANONYMOUS, Principal
from stepmark.hub.settings import BODIES_BYTES_MOST, SMALL_BODY_BYTES_MOST, Settings
from stepmark.telemetry.hub_meters import HubMeters

_OPEN = frozenset({"/healthz", "/readyz", "/login", "/logout", "/favicon.ico"})
_HANDLED_AT_ONE_TIME = 2
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """The outermost ASGI middleware."""

    def __init__(
        self, app: ASGIApp, settings: Settings, database: Database, meters: HubMeters, callers: Callers,
        readiness: Readiness,
    ) -> None:  # fmt: skip
        self._app, self._settings, self._database, self._meters = app, settings, database, meters
        self._callers, self._readiness = callers, readiness
        self._bodies_bytes = 0
        self._said = Refusals()
        self._handling = asyncio.Semaphore(_HANDLED_AT_ONE_TIME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_security_headers(send)
        try:
            principal = await self._admit(scope)
            scope.setdefault("state", {}).update(principal=principal, rights=principal.rights)
            await self._pass_on(scope, receive, send)
        except Refused as refused:
            await self._refuse(refused, scope, receive, send)

    async def _admit(self, scope: Scope) -> Principal:
        path = scope["path"]
        if "\0" in path or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            raise Refused(400, "invalid", "the address: expected text, found a NUL character")
        if path in _OPEN or path.startswith("/static/"):
            return ANONYMOUS
        if damage := self._readiness.damage():
            raise Refused(503, "damaged", damage)
        headers = Headers(scope=scope)
        if len(headers.getlist("authorization")) > 1:
            raise Refused(400, "invalid", "expected one Authorization header, found several")
        try:
            return await run_in_threadpool(self._authorized, headers, scope["method"], path)
        except sa.exc.SQLAlchemyError as error:
            self._meters.database_errors.inc()
            raise unavailable(error) from None

    def _authorized(self, headers: Headers, method: str, path: str) -> Principal:
        """Return the caller. Runs in a thread.

        Raises:
            Refused: A token is missing where one is needed, it is wrong, or it has too few rights.
            sqlalchemy.exc.SQLAlchemyError: The database is away.
        """
        need = rights.needed(method, path)
        if self._settings.anonymous_read and need == "read" and "authorization" not in headers:
            return Principal(rights.RIGHTS["read"], "anonymous")
        with self._database.read() as connection:
            principal = self._principal(connection, headers)
            if principal is None:
                raise Refused(401, "unauthorized", "expected a valid token, found none")
            if not rights.allowed(connection, principal, method, path):
                raise Refused(
                    403, "forbidden", f"expected a token with the right `{need}` here, found another", principal.name
                )
            hidden = rights.hidden_run(connection, principal, path) if need == "read" else None
        if hidden is not None:
            raise not_found(f"run {hidden}")
        return principal

    def _principal(self, connection: sa.Connection, headers: Headers) -> Principal | None:
        """Return the caller by the bearer token, or by the session cookie of a browser; None if there is neither."""
        if "authorization" not in headers:
            return sessions.principal_of(connection, cookie_parser(headers.get("cookie", "")).get(rights.COOKIE))
        kind, _, token = headers["authorization"].partition(" ")
        return self._callers.principal(connection, token.strip()) if kind.lower() == "bearer" else None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive the whole body, then call the handler: a body that is too slow or too large never reaches it.

        Raises:
            Refused: The body is too slow or too large.
        """
        if scope["method"] in ("GET", "HEAD"):
            await self._handle(scope, receive, send)
            return
        held = _Held(self)
        try:
            body = await self._body(scope, receive, held)
            if body is not None:
                async with self._handling:
                    await self._handle(scope, _replayed(body, receive), send)
        finally:
            held.release()

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the handler.

        Raises:
            Refused: The handler has failed before it answered.
        """
        answered = False

        async def noting(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            log.exception("internal error at %s %s", scope["method"], printable(scope["path"])[:200])
            if answered:
                raise
            raise Refused(500, "internal", "internal error of the hub; the hub's log has the details") from None

    async def _body(self, scope: Scope, receive: Receive, held: "_Held") -> bytes | None:
        """Return the body, or None if the client has gone.

        Raises:
            Refused: The body is too large or too slow, or too many are being received at one time.
        """
        most = self._most(scope["path"])
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_seconds_most):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    held.grow_to(len(body))
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            limit = f"{self._settings.body_seconds_most:g} seconds"
            raise Refused(408, "too-slow", f"the body: expected the whole body within {limit}, found a part") from None

    def _most(self, path: str) -> int:
        if path in _OPEN:
            return 4096
        most = self._settings.body_bytes_most
        return most if "/launches/" in path else min(SMALL_BODY_BYTES_MOST, most)

    async def _refuse(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the refusal, and close the connection of a call with a body: the rest of the body is not read."""
        if refused.reason is not None:
            self._meters.refused.labels(reason=refused.reason).inc()
        if refused.status in (401, 403):
            call = f"{scope['method']} {scope['path']}"
            self._said.say(status=refused.status, call=call, by=refused.who, peer=peer_of(scope))
        response: Response = refused.response()
        if refused.status == 401 and _wants_a_page(scope):
            address = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            response = RedirectResponse(f"/login?next={quote(address, safe='/')}", 303)
        elif scope["method"] not in ("GET", "HEAD"):
            response.headers["Connection"] = "close"
        await response(scope, receive, send)


class _Held:
    """The memory of one body, counted in the guard's total."""

    def __init__(self, guard: Guard) -> None:
        self._guard, self._bytes = guard, 0

    def grow_to(self, size: int) -> None:
        """Count the body with its new size.

        Raises:
            Refused: All bodies together would be too large.
        """
        self._guard._bodies_bytes += size - self._bytes
        self._bytes = size
        if self._guard._bodies_bytes > BODIES_BYTES_MOST:
            raise Refused(503, "busy", "too many request bodies are being received at once. Try again later.")

    def release(self) -> None:
        self._guard._bodies_bytes -= self._bytes


def peer_of(scope: Scope) -> str:
    """Return the address at the other end of the connection, which is a proxy's where there is one."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def _wants_a_page(scope: Scope) -> bool:
    accepts = Headers(scope=scope).get("accept", "")
    return scope["method"] == "GET" and "text/html" in accepts and not scope["path"].startswith("/api/")


def _too_large(most: int) -> Refused:
    return Refused(413, "too-large", f"the body: expected at most {most} bytes here, found more")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the received body, then whatever comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
