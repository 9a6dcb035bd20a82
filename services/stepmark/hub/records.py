"""Store launches and certificates. Each call is one transaction and may be repeated."""

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from stepmark.hub import quotas
from stepmark.hub.attempts import conflict
from stepmark.hub.database import Database
from stepmark.hub.ingest import opened, touch
from stepmark.hub.refusals import Refused
from stepmark.hub.rights import Principal
from stepmark.hub.rows import SEAL, added, insert_missing, sealed
from stepmark.hub.settings import Limits
from stepmark.hub.steps import checked_steps
from stepmark.hub.tables import certificates, launches
from stepmark.plan.blocks import launch_id as id_of
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.record import WARMUP_STEPS_MOST, LaunchHeader
from stepmark.results.store import Run
from stepmark.results.wire import LaunchUpload

_LIKE_CELL = {"levels", "unsupported"}  # fields that may differ between the hub's version of stepmark and the runner's


def put_launch(
    database: Database, limits: Limits, who: Principal, execution_id: str, launch_id: str, body: LaunchUpload
) -> int | None:
    """Store a launch. Return how many step samples were stored; None if the hub had the launch already.

    Raises:
        Refused: The launch is not of this execution's scenario, its name is stored with other contents, there is no
            room, or the caller may not write to this execution.
        ValueError: The steps are not packed as `pack_steps` does.
    """
    header = body.header
    if header.launch_id != launch_id:
        raise Refused(422, "invalid", "header.launch_id: expected the name in the address, found another")
    steps, device_steps = checked_steps(header, body.steps_npz)
    text = header.model_dump_json()
    with database.write() as connection:
        execution = opened(connection, who, execution_id)
        if header.scenario_digest != execution.scenario_digest:
            raise Refused(422, "invalid", "header.scenario_digest: expected the execution's, found another")
        _check_place(execution.document, header, steps, device_steps)
        values = {
            "block": header.block, "position": header.position, "header": text, "received_at": time.time(),
            "step_nanoseconds_npz": body.steps_npz, "body_sha256": body_sha256(text, steps, device_steps),
        }  # fmt: skip
        row = _Row(launches, {"launch_id": launch_id}, values, "body_sha256", len(text) + len(body.steps_npz))
        return int(steps.size) if _keep(connection, limits, execution, row) else None


def body_sha256(header: str, steps: NDArray[np.int64], device_steps: NDArray[np.int64] | None) -> str:
    """Return the digest of a launch's header and arrays, which does not depend on how the arrays are packed.

    It tells a repeated call from a conflict, and detects damage.
    """
    arrays = [steps] if device_steps is None else [steps, device_steps]
    parts = (part for array in arrays for part in (repr(array.shape).encode(), array.tobytes()))
    return hashlib.sha256(b"".join((header.encode(), *parts))).hexdigest()


def put_certificate(
    database: Database, limits: Limits, who: Principal, execution_id: str, cell: str, body: Certificate
) -> bool:
    """Store a certificate. Return whether it was stored; False means that the hub had it already.

    Raises:
        Refused: As for launches.
    """
    if body.cell != cell:
        raise Refused(422, "invalid", "cell: expected the one in the address, found another")
    text = body.model_dump_json()
    with database.write() as connection:
        execution = opened(connection, who, execution_id)
        if cell not in _plan_of(execution.document)[0]:
            raise Refused(422, "invalid", "cell: expected one of the execution's scenario, found another")
        row = _Row(certificates, {"cell": cell}, {"document": text}, "document", len(text))
        return _keep(connection, limits, execution, row)


@dataclass(frozen=True)
class _Row:
    """A row that an execution sends.

    `name` is its name within the execution, by column; `contents` is the column that tells a repeated call from a
    conflict; `size` is what counts against quotas, in bytes.
    """

    table: sa.Table
    name: dict[str, str]
    values: dict[str, Any]
    contents: str
    size: int


def _keep(connection: sa.Connection, limits: Limits, execution: sa.Row[Any], row: _Row) -> bool:
    """Store a row, count its bytes, and add its digest to the execution's sum. Return whether the row is new.

    Raises:
        Refused: The row is stored with other contents, or there is no room.
    """
    names = {"execution_id": execution.execution_id} | row.name
    if not insert_missing(connection, row.table, **names, **row.values):
        _refuse_other_contents(connection, row, names)
        touch(connection, execution, time.time())
        return False
    quotas.count_bytes(connection, limits, execution.run_id, execution.attempt, row.size)
    sum_name, [name] = f"{row.table.name}_sum", row.name.values()
    total = added(getattr(execution, sum_name), name, sealed(row.table, names | row.values)[SEAL])
    touch(connection, execution, time.time(), revision=execution.revision + 1, **{sum_name: total})
    return True


def _refuse_other_contents(connection: sa.Connection, row: _Row, names: dict[str, str]) -> None:
    which = sa.and_(*(row.table.c[name] == value for name, value in names.items()))
    known = connection.execute(sa.select(row.table.c[row.contents]).where(which)).scalar_one()
    if known != row.values[row.contents]:
        raise conflict(f"{' '.join(names.values())} is stored with other contents")


@lru_cache(maxsize=64)
def _plan_of(document: str) -> tuple[dict[str, Cell], int, int]:
    """Return the cells that may be measured, by key, the number of blocks, and the most measured steps of a launch.

    The result is cached, since it is needed with every launch.
    """
    run = Run.model_validate_json(document)
    scenario = run.parsed_scenario
    measurement = scenario.spec.measurement
    found = {cell.key: cell for cell in run.cells()}
    blocks = measurement.max_launches or measurement.launches
    return found, blocks, measurement.max_steps


def _check_place(
    document: str, header: LaunchHeader, steps: NDArray[np.int64], device_steps: NDArray[np.int64] | None
) -> None:
    """Check that the scenario's plan has this launch.

    Raises:
        Refused: The plan has no such launch.
    """
    known, blocks, steps_most = _plan_of(document)
    cell = header.cell
    planned = known.get(cell.key)
    if planned is None or planned.model_dump(exclude=_LIKE_CELL) != cell.model_dump(exclude=_LIKE_CELL):
        raise Refused(422, "invalid", "header.cell: expected one of the execution's scenario, found another")
    named = id_of(cell, header.block, header.attempt)
    if header.launch_id != named or header.block >= blocks or header.position >= len(known):
        raise Refused(422, "invalid", "header: expected block, position and launch_id of the plan, found others")
    if len(header.ranks) > planned.processes:
        raise Refused(422, "invalid", f"header.ranks: expected at most {planned.processes}, found more")
    device_found = 0 if device_steps is None else device_steps.shape[1]
    if steps.shape[1] > WARMUP_STEPS_MOST + steps_most or device_found > steps_most:
        most = f"{WARMUP_STEPS_MOST} warm-up steps and {steps_most} measured ones"
        raise Refused(422, "invalid", f"steps_npz: expected at most {most} of a rank, found more")
