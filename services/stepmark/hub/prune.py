"""Delete old runs with everything that belongs to them; the database uses their space again."""

import sqlalchemy as sa

from stepmark.hub.database import Database
from stepmark.hub.ingest import delete_run
from stepmark.hub.logs import event
from stepmark.hub.refusals import Refused
from stepmark.hub.tables import executions, runs


def prune(database: Database, registered_before: float, namespace: str | None) -> tuple[int, int]:
    """Delete the runs that were registered before this Unix time and are not running now.

    With a `namespace`, only its runs are deleted. Each deletion is one transaction, so that a serving hub never waits
    long. Return how many runs were deleted, and how many are left.
    """
    running = sa.select(executions.c.run_id).where(executions.c.outcome == "running")
    query = sa.select(runs.c.run_id).where(runs.c.created_at < registered_before, runs.c.run_id.not_in(running))
    if namespace is not None:
        query = query.where(runs.c.namespace == namespace)
    with database.read() as connection:
        found = list(connection.execute(query.order_by(runs.c.created_at)).scalars())
    forgotten = sum(_delete(database, run_id) for run_id in found)
    with database.read() as connection:
        left = connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one()
    event("pruned", forgotten=forgotten, left=left)
    return forgotten, left


def _delete(database: Database, run_id: str) -> bool:
    try:
        delete_run(database, run_id)
    except Refused as refused:
        if refused.status != 404:  # 404: somebody else has deleted it
            raise
        return False
    return True
