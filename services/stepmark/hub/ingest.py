"""What runners send, into the database: each call one transaction, safe to repeat, refused once superseded.

Every function returns whether something was stored; False means that the hub had it already.
"""

import hashlib
import time
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from stepmark.errors import printable
from stepmark.hub.database import Database
from stepmark.hub.latest import let_others_hold
from stepmark.hub.refusals import Refused, not_found
from stepmark.hub.rights import Principal
from stepmark.hub.steps import checked_steps
from stepmark.hub.tables import attempts, certificates, executions, launches, runs
from stepmark.plan.blocks import launch_id as id_of
from stepmark.plan.cells import Cell, cells
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchHeader
from stepmark.results.store import Run
from stepmark.results.wire import Claim, LaunchUpload, Received, Registration, State

_LIKE_CELL = {"levels", "unsupported"}  # what the hub's version of stepmark may see otherwise than the runner's


def register(database: Database, run_id: str, number: int, body: Registration) -> bool:
    """Raises: Refused, if the run is another scenario's, or the token another attempt's."""
    now = time.time()
    with database.write() as connection:
        _insert_missing(
            connection, runs, run_id=run_id, name=body.name, namespace=body.namespace, created_at=now
        )  # fmt: skip
        run = _locked(connection, runs, runs.c.run_id == run_id)
        if run is None or (run.name, run.namespace) != (body.name, body.namespace):
            raise _conflict(f"run {run_id} is another scenario's")
        own = sa.and_(attempts.c.run_id == run_id, attempts.c.number == number)
        others = attempts.select().where(attempts.c.token_sha256 == body.token_sha256, sa.not_(own))
        if connection.execute(others).first() is not None:
            raise _conflict("the token is another attempt's: make one for each")
        times = {"created_at": now, "expires_at": now + body.expires_in_seconds}
        values = {"token_sha256": body.token_sha256, **times}
        if _insert_missing(connection, attempts, run_id=run_id, number=number, **values):
            return True
        replaced = attempts.update().where(own, attempts.c.token_sha256 != body.token_sha256).values(values)
        return connection.execute(replaced).rowcount > 0


def claim(database: Database, who: Principal, run_id: str, number: int, execution_id: str, body: Claim) -> bool:
    """Raises: Refused, if the run's scenario is another, or a later execution has superseded this one."""
    document = body.run.model_dump_json()
    digest = _checked_digest(body.run)
    now = time.time()
    with database.write() as connection:
        run = _locked(connection, runs, runs.c.run_id == run_id)
        _still_holds(connection, who, run_id, number)
        if run is None:
            raise not_found(f"run {run_id}")
        if run.name != body.run.scenario["metadata"]["name"]:
            raise _conflict(f"run {run_id} is registered for scenario {run.name}")
        known = _locked(connection, executions, executions.c.execution_id == execution_id)
        if known is not None:
            if (known.run_id, known.attempt, known.document) != (run_id, number, document):
                raise _conflict(f"execution {execution_id} is claimed with other contents")
            _touch(connection, known, now)
            return False
        _supersede(connection, run_id, number, now)
        first = {"outcome": "running", "reason": "", "message": "", "sequence": -1}
        connection.execute(
            executions.insert().values(
                execution_id=execution_id, run_id=run_id, attempt=number, document=document, scenario_digest=digest,
                claimed_at=now, seen_at=now, revision=1, derived_revision=0, **first,
            )
        )  # fmt: skip
        _let_newest_count(connection, run_id)
        return True


def put_launch(database: Database, who: Principal, execution_id: str, launch_id: str, body: LaunchUpload) -> int | None:
    """The number of step samples that were stored; None if the hub had the launch already.

    Raises:
        Refused: it is not of this execution's scenario, or the name is known with other contents.
        ValueError: the steps are not packed as `pack_steps` does.
    """
    header = body.header
    if header.launch_id != launch_id:
        raise Refused(422, "invalid", "header.launch_id: expected the name in the address, found another")
    steps = checked_steps(header, body.steps_npz)
    text = header.model_dump_json()
    sha256 = hashlib.sha256(b"".join((text.encode(), repr(steps.shape).encode(), steps.tobytes()))).hexdigest()
    with database.write() as connection:
        execution = _open(connection, who, execution_id)
        if header.scenario_digest != execution.scenario_digest:
            raise Refused(422, "invalid", "header.scenario_digest: expected the execution's, found another")
        _check_place(execution.document, header)
        names = {"execution_id": execution_id, "launch_id": launch_id}
        values = {
            "block": header.block, "position": header.position, "header": text,
            "step_nanoseconds_npz": body.steps_npz, "body_sha256": sha256, "received_at": time.time(),
        }  # fmt: skip
        if not _stored(connection, launches, names, values, "body_sha256"):
            _touch(connection, execution, time.time())
            return None
        _touch(connection, execution, time.time(), revision=execution.revision + 1)
    return int(steps.size)


def put_certificate(database: Database, who: Principal, execution_id: str, cell: str, body: Certificate) -> bool:
    """Raises: Refused, as for launches."""
    if body.cell != cell:
        raise Refused(422, "invalid", "cell: expected the one in the address, found another")
    with database.write() as connection:
        execution = _open(connection, who, execution_id)
        if cell not in _plan_of(execution.document)[0]:
            raise Refused(422, "invalid", "cell: expected one of the execution's scenario, found another")
        names = {"execution_id": execution_id, "cell": cell}
        stored = _stored(connection, certificates, names, {"document": body.model_dump_json()}, "document")
        _touch(connection, execution, time.time(), revision=execution.revision + stored)
    return stored


def put_state(database: Database, who: Principal, execution_id: str, body: State) -> bool:
    """Of several states the one with the highest sequence holds. A state that is older changes nothing.

    Raises:
        Refused: superseded, or another state has this sequence.
    """
    now = time.time()
    values: dict[str, Any] = {
        "sequence": body.sequence, "outcome": body.outcome, "reason": body.reason,
        "message": printable(body.message)[:2000],
        "progress": None if body.progress is None else body.progress.model_dump_json(),
        "launches_expected": body.launches,
    }  # fmt: skip
    with database.write() as connection:
        execution = _open(connection, who, execution_id)
        same = execution.outcome == "lost" or all(getattr(execution, name) == values[name] for name in values)
        if body.sequence == execution.sequence and not same:
            raise _conflict(f"sequence {body.sequence} of {execution_id} is known with other contents")
        if body.sequence <= execution.sequence:
            _touch(connection, execution, now)
            return False
        changes = execution.outcome != body.outcome
        values["ended_at"] = None if body.outcome == "running" else (now if changes else execution.ended_at)
        _touch(connection, execution, now, revision=execution.revision + changes, **values)
    return True


def received(database: Database, execution_id: str) -> Received:
    """Raises: Refused, if the execution is unknown."""
    with database.read() as connection:
        known = connection.execute(sa.select(executions.c.run_id).where(executions.c.execution_id == execution_id))
        if known.first() is None:
            raise not_found(f"execution {execution_id}")
        names = [
            connection.execute(sa.select(column).where(table.c.execution_id == execution_id).order_by(column)).scalars()
            for table, column in ((launches, launches.c.launch_id), (certificates, certificates.c.cell))
        ]
        return Received(launches=tuple(names[0]), certificates=tuple(names[1]))


def delete_run(database: Database, run_id: str) -> None:
    """With everything that hangs on it.

    Raises:
        Refused: there is none.
    """
    with database.write() as connection:
        if _locked(connection, runs, runs.c.run_id == run_id) is None:
            raise not_found(f"run {run_id}")
        ids = connection.execute(sa.select(executions.c.execution_id).where(executions.c.run_id == run_id)).scalars()
        for execution_id in list(ids):
            let_others_hold(connection, execution_id)
        connection.execute(runs.delete().where(runs.c.run_id == run_id))


def _conflict(message: str) -> Refused:
    return Refused(409, "conflict", f"{message}; what was there is kept")


def _insert_missing(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Whether the row was missing, and is there now."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    return connection.execute(statement).rowcount > 0


def _locked(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    """The row, which no other transaction changes before this one ends. (SQLite has one writer at a time anyway.)"""
    return connection.execute(table.select().where(which).with_for_update()).one_or_none()


def _still_holds(connection: sa.Connection, who: Principal, run_id: str, number: int) -> None:
    """A token may have been replaced while its body was on the way."""
    if "admin" in who.rights:
        return
    own = sa.and_(attempts.c.run_id == run_id, attempts.c.number == number)
    token = connection.execute(sa.select(attempts.c.token_sha256).where(own)).scalar()
    if who.attempt != (run_id, number) or token != who.token_sha256:
        raise Refused(403, "forbidden", "expected the write token of this attempt, found another")


def _open(connection: sa.Connection, who: Principal, execution_id: str) -> sa.Row[Any]:
    """The execution, locked, if this caller may still write to it."""
    execution = _locked(connection, executions, executions.c.execution_id == execution_id)
    if execution is None:
        raise not_found(f"execution {execution_id}")
    _still_holds(connection, who, execution.run_id, execution.attempt)
    _refuse_superseded(execution)
    return execution


def _refuse_superseded(execution: sa.Row[Any]) -> None:
    if execution.outcome == "superseded":
        raise Refused(409, "superseded", f"execution {execution.execution_id}: a later one of its attempt took over")


def _touch(connection: sa.Connection, execution: sa.Row[Any], now: float, **values: Any) -> None:
    """Its runner was heard of: what was taken for lost is not."""
    _refuse_superseded(execution)
    if execution.outcome == "lost" and "outcome" not in values:
        values |= {"outcome": "running", "reason": "", "ended_at": None, "revision": execution.revision + 1}
    own = executions.c.execution_id == execution.execution_id
    connection.execute(executions.update().where(own).values(seen_at=now, **values))


def _supersede(connection: sa.Connection, run_id: str, number: int, now: float) -> None:
    earlier = sa.and_(executions.c.run_id == run_id, executions.c.attempt == number)
    connection.execute(
        executions.update().where(earlier, executions.c.outcome != "superseded").values(
            outcome="superseded", reason="superseded", progress=None, revision=executions.c.revision + 1,
            ended_at=sa.func.coalesce(executions.c.ended_at, now),
        )
    )  # fmt: skip


def _let_newest_count(connection: sa.Connection, run_id: str) -> None:
    newest = sa.select(executions.c.execution_id).where(executions.c.run_id == run_id)
    newest = newest.order_by(executions.c.attempt.desc(), executions.c.claimed_at.desc()).limit(1)
    values = {"execution_id": newest.scalar_subquery()}
    connection.execute(runs.update().where(runs.c.run_id == run_id).values(values))


def _stored(
    connection: sa.Connection, table: sa.Table, names: dict[str, str], values: dict[str, Any], contents: str
) -> bool:
    """Whether the row is new. Known with other contents, it is refused."""
    if _insert_missing(connection, table, **names, **values):
        return True
    which = sa.and_(*(table.c[name] == value for name, value in names.items()))
    known = connection.execute(sa.select(table.c[contents]).where(which)).scalar_one()
    if known != values[contents]:
        raise _conflict(f"{' '.join(names.values())} is known with other contents")
    return False


def _checked_digest(run: Run) -> str:
    scenario = run.parsed_scenario()
    if scenario.digest() != run.scenario_digest:
        raise Refused(422, "invalid", "run.scenario_digest: expected that of run.scenario, found another")
    return run.scenario_digest


@lru_cache(maxsize=64)
def _plan_of(document: str) -> tuple[dict[str, Cell], int]:
    """The cells that may be measured, by key, and the number of blocks. Cached: it is asked for with every launch."""
    run = Run.model_validate_json(document)
    scenario = run.parsed_scenario()
    measurement = scenario.spec.measurement
    found = {cell.key: cell for cell in cells(scenario, run.machine)}
    return found, measurement.max_launches or measurement.launches


def _check_place(document: str, header: LaunchHeader) -> None:
    """Raises: Refused, if the scenario's plan has no such launch."""
    known, blocks = _plan_of(document)
    cell = header.cell
    planned = known.get(cell.key)
    if planned is None or planned.model_dump(exclude=_LIKE_CELL) != cell.model_dump(exclude=_LIKE_CELL):
        raise Refused(422, "invalid", "header.cell: expected one of the execution's scenario, found another")
    named = id_of(cell, header.block, header.attempt)
    if header.launch_id != named or header.block >= blocks or header.position >= len(known):
        raise Refused(422, "invalid", "header: expected block, position and launch_id of the plan, found others")
