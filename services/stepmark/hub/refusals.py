"""Answers with status 400 and above. The body is always wire.Refusal, and never holds a secret."""

import logging

import sqlalchemy as sa
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from stepmark.errors import StepmarkError, printable
from stepmark.results.wire import Refusal

log = logging.getLogger("stepmark.hub")

RETRY_AFTER_SECONDS = 5
_MESSAGE_MOST = 1000
_METERED = {401: "unauthorized", 403: "forbidden", 404: "not-found", 408: "too-slow", 413: "too-large"}


class Refused(Exception):
    """A refused request, with its status, a code for programs and a message for people.

    `who` is the name of the caller, if known.
    """

    def __init__(self, status: int, code: str, message: str, who: str | None = None) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.who = status, code, message, who

    @property
    def reason(self) -> str | None:
        """The label of HubMeters.refused; None for conflicts, which `received` counts."""
        if self.status == 409:
            return None
        return "unavailable" if self.status >= 500 else _METERED.get(self.status, "invalid")

    def response(self) -> JSONResponse:
        """Return the answer to the request."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="stepmark"'
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        body = Refusal(code=self.code, message=printable(self.message)[:_MESSAGE_MOST])
        return JSONResponse(body.model_dump(), self.status, headers)


def not_found(what: str) -> Refused:
    """Return the refusal of something that the hub does not have."""
    return Refused(404, "not-found", f"{what}: expected one that the hub has, found none")


def invalid(error: ValidationError | RequestValidationError | StepmarkError | ValueError) -> Refused:
    """Return the refusal of an invalid request. Its message leaves out the values, since a body may hold anything."""
    if not isinstance(error, ValidationError | RequestValidationError):
        return Refused(422, "invalid", str(error))
    first, *others = error.errors()
    where = ".".join(map(str, first["loc"])) or "the body"
    more = f" (and {len(others)} more)" if others else ""
    return Refused(422, "invalid", f"{where}: {first['msg']}{more}")


def unavailable(error: Exception) -> Refused:
    """Return the refusal when the database is full, locked or gone, and log the details without values of rows."""
    log.error("database: %s", database_words(error))
    return Refused(503, "unavailable", "the database is not available now; nothing was stored. Try again later.")


def database_words(error: Exception) -> str:
    """Return what went wrong, in one line.

    Of PostgreSQL's messages only the code is kept, since they quote rows.
    """
    cause = getattr(error, "orig", None) or error
    fields = cause.args[0] if cause.args and isinstance(cause.args[0], dict) else None
    if fields is not None:
        return f"{type(cause).__name__} SQLSTATE {fields.get('C')}"
    return printable(f"{type(cause).__name__}: {cause}".splitlines()[0])[:300]


def response_to(request: Request, error: Exception) -> Response:
    """Return the answer to an error that a handler raised, and count it."""
    refused = _refused(error)
    meters = request.app.state.meters
    if isinstance(error, sa.exc.SQLAlchemyError):
        meters.database_errors.inc()
    if refused.reason is not None:
        meters.refused.labels(reason=refused.reason).inc()
    response = refused.response()
    response.headers.update(getattr(error, "headers", None) or {})  # such as Allow
    return response


def _refused(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, sa.exc.SQLAlchemyError):
        return unavailable(error)
    if isinstance(error, HTTPException):
        codes = {404: "not-found", 405: "method-not-allowed", 406: "not-acceptable"}
        return Refused(error.status_code, codes.get(error.status_code, "invalid"), str(error.detail))
    assert isinstance(error, RequestValidationError | StepmarkError)
    return invalid(error)
