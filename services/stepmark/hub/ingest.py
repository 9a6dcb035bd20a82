"""Store what runners report of executions. Each call is one transaction and may be repeated.

Functions that store return whether something was stored; False means that the hub had it already.
"""

import time
from typing import Any

import sqlalchemy as sa

from stepmark import catalog
from stepmark.errors import printable
from stepmark.hub import quotas
from stepmark.hub.attempts import conflict, is_attempt, refuse_ended
from stepmark.hub.database import Database
from stepmark.hub.latest import make_others_current
from stepmark.hub.refusals import Refused, not_found
from stepmark.hub.rights import Principal
from stepmark.hub.rows import NO_ROWS, insert, locked, update
from stepmark.hub.settings import Limits
from stepmark.hub.tables import attempts, certificates, executions, launches, runs
from stepmark.results.store import Run
from stepmark.results.wire import Claim, Received, State


def claim(
    database: Database, limits: Limits, who: Principal, run_id: str, number: int, execution_id: str, body: Claim
) -> bool:
    """Begin an execution and supersede earlier ones of its attempt.

    Raises:
        Refused: The run belongs to another scenario, its attempt is over, the caller's token is not the attempt's,
            there is no room, or this execution is superseded or known with other contents.
    """
    document = body.run.model_dump_json()
    digest = _checked_digest(body.run)
    now = time.time()
    with database.write() as connection:
        run = locked(connection, runs, runs.c.run_id == run_id)
        _still_holds(connection, who, run_id, number)
        if run is None:
            raise not_found(f"run {run_id}")
        if run.name != body.run.scenario["metadata"]["name"]:
            raise conflict(f"run {run_id} is registered for scenario {run.name}")
        refuse_ended(connection, run_id, number)
        known = locked(connection, executions, executions.c.execution_id == execution_id)
        if known is not None:
            if (known.run_id, known.attempt, known.document) != (run_id, number, document):
                raise conflict(f"execution {execution_id} is claimed with other contents")
            touch(connection, known, now)
            return False
        _supersede(connection, run_id, number, now)
        quotas.count_execution(connection, limits, run_id, number)
        quotas.count_bytes(connection, limits, run_id, number, len(document))
        first = {"outcome": "running", "reason": "", "message": "", "sequence": -1, "tried_revision": 0, "tries": 0}
        values = {
            "execution_id": execution_id, "run_id": run_id, "attempt": number, "document": document,
            "scenario_digest": digest, "claimed_at": now, "seen_at": now, "revision": 1, "derived_revision": 0,
            "serial": _next_serial(connection, run_id), "launches_sum": NO_ROWS, "certificates_sum": NO_ROWS, **first,
        }  # fmt: skip
        insert(connection, executions, [values])
        newest = _newest(connection, run_id)
        update(connection, runs, run, execution_id=newest, end_outcome=None, end_reason=None)
        return True


def put_state(database: Database, who: Principal, execution_id: str, body: State) -> bool:
    """Store the state of an execution. The highest sequence holds, and an older state changes nothing.

    Raises:
        Refused: The execution is superseded, its attempt is over, or another state has this sequence.
    """
    now = time.time()
    values: dict[str, Any] = {
        "sequence": body.sequence, "outcome": body.outcome, "reason": body.reason,
        "message": printable(body.message)[:2000],
        "progress": None if body.progress is None else body.progress.model_dump_json(),
        "launches_expected": body.launches,
    }  # fmt: skip
    with database.write() as connection:
        execution = opened(connection, who, execution_id)
        refuse_ended(connection, execution.run_id, execution.attempt)
        same = execution.outcome == "lost" or all(getattr(execution, name) == values[name] for name in values)
        if body.sequence == execution.sequence and not same:
            raise conflict(f"sequence {body.sequence} of {execution_id} is stored with other contents")
        if body.sequence <= execution.sequence:
            touch(connection, execution, now)
            return False
        changes = execution.outcome != body.outcome
        values["ended_at"] = None if body.outcome == "running" else (now if changes else execution.ended_at)
        touch(connection, execution, now, revision=execution.revision + changes, **values)
    return True


def received(database: Database, execution_id: str) -> Received:
    """Return what the hub has of an execution.

    Raises:
        Refused: The execution is unknown.
    """
    with database.read() as connection:
        known = connection.execute(sa.select(executions.c.sequence).where(executions.c.execution_id == execution_id))
        sequence = known.scalar()
        if sequence is None:
            raise not_found(f"execution {execution_id}")
        names = [
            connection.execute(sa.select(column).where(table.c.execution_id == execution_id).order_by(column)).scalars()
            for table, column in ((launches, launches.c.launch_id), (certificates, certificates.c.cell))
        ]
        return Received(launches=tuple(names[0]), certificates=tuple(names[1]), sequence=sequence)


def delete_run(database: Database, run_id: str) -> None:
    """Delete a run with everything that belongs to it.

    Raises:
        Refused: There is no such run.
    """
    with database.write() as connection:
        own = sa.select(runs.c.run_id).where(runs.c.run_id == run_id)  # damaged or not
        if connection.execute(own.with_for_update()).one_or_none() is None:
            raise not_found(f"run {run_id}")
        ids = connection.execute(sa.select(executions.c.execution_id).where(executions.c.run_id == run_id)).scalars()
        for execution_id in list(ids):
            make_others_current(connection, execution_id)
        connection.execute(runs.delete().where(runs.c.run_id == run_id))


def _still_holds(connection: sa.Connection, who: Principal, run_id: str, number: int) -> None:
    """Refuse a caller without the attempt's write token, which may have been replaced while the body was sent."""
    if "admin" in who.rights:
        return
    query = sa.select(attempts.c.token_sha256).where(is_attempt(run_id, number))
    token = connection.execute(query).scalar()
    if who.attempt != (run_id, number) or token != who.token_sha256:
        raise Refused(403, "forbidden", "expected the write token of this attempt, found another")


def opened(connection: sa.Connection, who: Principal, execution_id: str) -> sa.Row[Any]:
    """Return the execution, locked, if this caller may still write to it.

    Raises:
        Refused: The execution is unknown or superseded, or the caller's token is not its attempt's.
    """
    execution = locked(connection, executions, executions.c.execution_id == execution_id)
    if execution is None:
        raise not_found(f"execution {execution_id}")
    _still_holds(connection, who, execution.run_id, execution.attempt)
    _refuse_superseded(execution)
    return execution


def _refuse_superseded(execution: sa.Row[Any]) -> None:
    if execution.outcome == "superseded":
        raise Refused(
            409, "superseded", f"execution {execution.execution_id} is superseded by a later one of its attempt"
        )


def touch(connection: sa.Connection, execution: sa.Row[Any], now: float, **values: Any) -> None:
    """Update an execution whose runner was just heard of. If it counted as lost, it runs again.

    Raises:
        Refused: The execution is superseded.
    """
    _refuse_superseded(execution)
    if execution.outcome == "lost" and "outcome" not in values:
        values |= {"outcome": "running", "reason": "", "ended_at": None, "revision": execution.revision + 1}
    update(connection, executions, execution, seen_at=now, **values)


def _supersede(connection: sa.Connection, run_id: str, number: int, now: float) -> None:
    earlier = sa.select(executions.c.execution_id).where(executions.c.run_id == run_id, executions.c.attempt == number)
    for execution_id in list(connection.execute(earlier.where(executions.c.outcome != "superseded")).scalars()):
        row = locked(connection, executions, executions.c.execution_id == execution_id)
        if row is not None:
            values = {"outcome": "superseded", "reason": "superseded", "progress": None, "revision": row.revision + 1}
            update(connection, executions, row, ended_at=now if row.ended_at is None else row.ended_at, **values)


def _next_serial(connection: sa.Connection, run_id: str) -> int:
    most = sa.select(sa.func.coalesce(sa.func.max(executions.c.serial), 0)).where(executions.c.run_id == run_id)
    return int(connection.execute(most).scalar_one()) + 1


def _newest(connection: sa.Connection, run_id: str) -> str:
    """Return the newest execution of the newest attempt, by number and not by the clock, which may be set back."""
    found = sa.select(executions.c.execution_id).where(executions.c.run_id == run_id)
    order = (executions.c.attempt.desc(), executions.c.serial.desc())
    return connection.execute(found.order_by(*order).limit(1)).scalar_one()


def _checked_digest(run: Run) -> str:
    scenario = run.parsed_scenario
    engine = next((c.engine for c in scenario.spec.candidates if catalog.is_foreign(c.engine)), None)
    if engine is not None:
        found = f"run.scenario: expected engines of stepmark, found {engine}: the hub loads no code of other packages"
        raise Refused(422, "invalid", found)
    if scenario.digest() != run.scenario_digest:
        raise Refused(422, "invalid", "run.scenario_digest: expected that of run.scenario, found another")
    return run.scenario_digest
