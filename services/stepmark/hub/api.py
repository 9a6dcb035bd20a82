"""The HTTP API, version 1: what runners send (results/wire.py) and what other programs query."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from stepmark.analysis.history import History
from stepmark.hub import attempts, ingest, reads, records
from stepmark.hub.database import Database
from stepmark.hub.guard import peer_of
from stepmark.hub.logs import audit, event
from stepmark.hub.refusals import Refused, invalid, not_found
from stepmark.hub.rights import Principal
from stepmark.hub.views import Filters, HistoryOf, Page, ReceivedOf, RunView
from stepmark.results.certificate import Certificate
from stepmark.results.wire import AttemptEnd, Claim, Id, LaunchUpload, Received, Refusal, Registration, State
from stepmark.strict import Name

BODIES: tuple[type[BaseModel], ...] = (Registration, AttemptEnd, Claim, LaunchUpload, Certificate, State)
"""The body models of the calls here; the OpenAPI document needs their schemas beside the paths."""

RunId = Annotated[Id, Path(description="The run: one scenario object.")]
Number = Annotated[int, Path(ge=1, le=99_999, description="The attempt, from 1.")]
ExecutionId = Annotated[Id, Path(description="The process that measures.")]
Key = Annotated[str, Path(min_length=1, max_length=400, pattern=r"^[-a-zA-Z0-9_.]+$")]

REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "Refused; `code` says why."},
    422: {"model": Refusal, "description": "Not understood: what was expected, and where."},
    503: {"model": Refusal, "description": "The database is full, locked or gone. Retry-After says when to try again."},
}
_STORED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The hub had it already: nothing was changed."},
    201: {"description": "Stored, and on disk."},
}

router = APIRouter(prefix="/api/v1")


async def _raw(request: Request) -> bytes:
    """Return the body, which the guard has already received."""
    return await request.body()


Raw = Annotated[bytes, Depends(_raw)]


def _put(path: str, body: type[BaseModel]) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Return a decorator for a call that stores a body.

    The handler parses the body in its own thread with pydantic, which limits how deeply JSON may be nested.
    """
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    taken = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    return router.put(path, openapi_extra=taken, responses=_STORED, status_code=201, response_class=Response)


def _answer(request: Request, kind: str, stored: bool) -> Response:
    request.app.state.meters.received.labels(kind=kind, result="stored" if stored else "repeated").inc()
    return Response(status_code=201 if stored else 200)


def _database(request: Request) -> Database:
    return request.app.state.database


def _who(request: Request) -> Principal:
    return request.state.principal


def _audit(request: Request, what: str, **facts: object) -> None:
    audit(what, **facts, by=_who(request).name, peer=peer_of(request.scope))


@_put("/runs/{run_id}/attempts/{number}", Registration)
def put_attempt(request: Request, run_id: RunId, number: Number, raw: Raw) -> Response:
    """Register an attempt with the hash of its write token. Right: register."""
    with _counted(request, "registration"):
        body = Registration.model_validate_json(raw)
        stored = attempts.register(_database(request), _who(request), run_id, number, body)
    _audit(request, "register", run=run_id, attempt=number, scenario=body.name, new=stored)
    return _answer(request, "registration", stored)


@_put("/runs/{run_id}/attempts/{number}/end", AttemptEnd)
def put_end(request: Request, run_id: RunId, number: Number, raw: Raw) -> Response:
    """Report the end of an attempt that will report nothing more itself. Right: register."""
    with _counted(request, "end"):
        body = AttemptEnd.model_validate_json(raw)
        stored = attempts.end(_database(request), _who(request), run_id, number, body)
    _audit(request, "end", run=run_id, attempt=number, outcome=body.outcome, reason=body.reason, new=stored)
    return _answer(request, "end", stored)


@_put("/runs/{run_id}/attempts/{number}/executions/{execution_id}", Claim)
def put_claim(request: Request, run_id: RunId, number: Number, execution_id: ExecutionId, raw: Raw) -> Response:
    """Begin an execution, which supersedes earlier ones of its attempt. Right: the attempt's write token."""
    with _counted(request, "claim"):
        body = Claim.model_validate_json(raw)
        limits = request.app.state.settings
        stored = ingest.claim(_database(request), limits, _who(request), run_id, number, execution_id, body)
    if stored:
        event("claimed", run=run_id, attempt=number, execution=execution_id)
    return _answer(request, "claim", stored)


@_put("/executions/{execution_id}/launches/{launch_id}", LaunchUpload)
def put_launch(request: Request, execution_id: ExecutionId, launch_id: Key, raw: Raw) -> Response:
    """Store one launch with all its steps. Right: the attempt's write token."""
    with _counted(request, "launch"):
        body = LaunchUpload.model_validate_json(raw)
        limits = request.app.state.settings
        samples = records.put_launch(_database(request), limits, _who(request), execution_id, launch_id, body)
        request.app.state.meters.step_samples.inc(samples or 0)
        return _answer(request, "launch", samples is not None)


@_put("/executions/{execution_id}/certificates/{cell}", Certificate)
def put_certificate(request: Request, execution_id: ExecutionId, cell: Key, raw: Raw) -> Response:
    """Store a cell's certificate, which says whether it trains the same model. Right: the attempt's write token."""
    with _counted(request, "certificate"):
        body = Certificate.model_validate_json(raw)
        limits = request.app.state.settings
        stored = records.put_certificate(_database(request), limits, _who(request), execution_id, cell, body)
        return _answer(request, "certificate", stored)


@_put("/executions/{execution_id}/state", State)
def put_state(request: Request, execution_id: ExecutionId, raw: Raw) -> Response:
    """Store the state of an execution, which is also its heartbeat. Right: the attempt's write token."""
    with _counted(request, "state"):
        body = State.model_validate_json(raw)
        stored = ingest.put_state(_database(request), _who(request), execution_id, body)
    if stored and body.outcome != "running":
        event("ended", execution=execution_id, outcome=body.outcome, reason=body.reason or None)
    return _answer(request, "state", stored)


@router.get("/executions/{execution_id}/received", response_model=Received)
def get_received(request: Request, execution_id: ExecutionId, asked: Annotated[ReceivedOf, Query()]) -> Response:
    """Return what the hub has of an execution and need not be sent again. Right: the attempt's write token.

    With `sequence`, the answer has the number of the last state. A runner of version 0.1.0 does not ask for it and
    refuses unknown fields, so leaving it out lets its run go on when the hub is upgraded meanwhile.
    """
    found = ingest.received(_database(request), execution_id)
    text = found.model_dump_json(exclude=None if asked.sequence else {"sequence"})
    return Response(text, media_type="application/json")


@router.get("/runs")
def get_runs(request: Request, filters: Annotated[Filters, Query()]) -> Page:
    """Return the runs that pass all filters, newest first. Right: read."""
    try:
        with _database(request).read() as connection:
            return reads.runs(connection, filters, _who(request).namespaces)
    except ValueError:
        raise Refused(422, "invalid", "cursor: expected the next_cursor of an answer, found another") from None


@router.get("/runs/{run_id}")
def get_run(request: Request, run_id: RunId) -> RunView:
    """Return one run with its attempts and executions. Right: read."""
    with _database(request).read() as connection:
        found = reads.run(connection, run_id)
    if found is None:
        raise not_found(f"run {run_id}")
    return found


@router.delete("/runs/{run_id}", status_code=204)
def delete_run(request: Request, run_id: RunId) -> Response:
    """Delete a run with everything measured for it. Right: admin."""
    ingest.delete_run(_database(request), run_id)
    _audit(request, "delete", run=run_id)
    return Response(status_code=204)


@router.get("/scenarios/{name}/history")
def get_history(request: Request, name: Annotated[Name, Path()], asked: Annotated[HistoryOf, Query()]) -> History:
    """Return how a scenario's figures changed over its newest ended runs, oldest first. Right: read.

    Scenarios of the same name in several namespaces are different scenarios: without `namespace`, the name must be in
    one namespace only.
    """
    with _database(request).read() as connection:
        scenario = reads.scenario_named(connection, name, asked.namespace, _who(request).namespaces)
        if scenario is None:
            raise not_found(f"scenario {name}")
        return reads.history(connection, scenario, asked.limit)


class _counted:
    """Count conflicts, and turn errors in a body into a refusal."""

    def __init__(self, request: Request, kind: str) -> None:
        self._meters, self._kind = request.app.state.meters, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused) and error.status == 409:
            self._meters.received.labels(kind=self._kind, result=error.code).inc()
        if isinstance(error, ValueError):
            raise invalid(error) from None
