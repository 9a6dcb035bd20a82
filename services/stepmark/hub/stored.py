"""Read the launches and certificates of an execution as they were received, and detect damage and loss."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from stepmark.errors import StepmarkError
from stepmark.hub.records import body_sha256
from stepmark.hub.rows import NO_ROWS, Damaged, added, checked
from stepmark.hub.tables import ORDER_OF_PLAN, certificates, launches
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchHeader, unpack_steps
from stepmark.results.store import Row

_AT_ONCE = 4  # rows: a launch has up to 64 MiB of steps before they are packed


def launches_of(connection: sa.Connection, execution: sa.Row[Any]) -> Iterator[sa.Row[Any]]:
    """Yield the rows of all launches in the order of the plan, each checked with its steps.

    Raises:
        Damaged: A launch is damaged or missing.
    """
    total = NO_ROWS
    query = launches.select().where(launches.c.execution_id == execution.execution_id).order_by(*ORDER_OF_PLAN)
    for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)):
        what = f"launch {row.launch_id} of run {execution.run_id}"
        checked(launches, row, what)
        if _body_of(row) != row.body_sha256:
            raise Damaged(what)
        total = added(total, row.launch_id, row.row_sha256)
        yield row
    _compare(total, execution.launches_sum, f"launches of run {execution.run_id}")


def rows_of(connection: sa.Connection, execution: sa.Row[Any]) -> Iterator[Row]:
    """Yield the same launches in the form that the analysis takes.

    Raises:
        Damaged: A launch is damaged or missing.
    """
    for row in launches_of(connection, execution):
        yield row.header, row.step_nanoseconds_npz


def headers_of(connection: sa.Connection, execution: sa.Row[Any]) -> Iterator[LaunchHeader]:
    """Yield the headers of all launches in the order of the plan. Their steps are not checked.

    Raises:
        Damaged: A launch is damaged or missing.
    """
    total = NO_ROWS
    columns = [column for column in launches.c if not isinstance(column.type, sa.LargeBinary)]
    query = sa.select(*columns).where(launches.c.execution_id == execution.execution_id).order_by(*ORDER_OF_PLAN)
    with connection.execute(query.execution_options(yield_per=16)) as found:
        for row in found:
            checked(launches, row, f"launch {row.launch_id} of run {execution.run_id}")
            total = added(total, row.launch_id, row.row_sha256)
            yield LaunchHeader.model_validate_json(row.header)
    _compare(total, execution.launches_sum, f"launches of run {execution.run_id}")


def certificates_of(connection: sa.Connection, execution: sa.Row[Any]) -> dict[str, Certificate]:
    """Return the certificates by the key of their cell.

    Raises:
        Damaged: A certificate is damaged or missing.
    """
    total, found = NO_ROWS, {}
    query = certificates.select().where(certificates.c.execution_id == execution.execution_id)
    for row in connection.execute(query.order_by(certificates.c.cell)):
        checked(certificates, row, f"certificate {row.cell} of run {execution.run_id}")
        total = added(total, row.cell, row.row_sha256)
        found[row.cell] = Certificate.model_validate_json(row.document)
    _compare(total, execution.certificates_sum, f"certificates of run {execution.run_id}")
    return found


def _body_of(row: sa.Row[Any]) -> str | None:
    """Return the digest of a launch's header and steps, or None if the steps cannot be unpacked."""
    try:
        return body_sha256(row.header, *unpack_steps(row.step_nanoseconds_npz))
    except (ValueError, StepmarkError):
        return None


def _compare(total: str, expected: str, what: str) -> None:
    if total != expected:
        raise Damaged(what)
