"""The verdict of a run in a line or two, for lists, from its derived rows if none of them is damaged."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from stepmark.analysis.compare import Comparison
from stepmark.analysis.intervals import Estimate
from stepmark.hub.rows import is_whole
from stepmark.hub.tables import cells, comparisons
from stepmark.report import headline, words


def of(connection: sa.Connection, ids: list[str]) -> dict[str, list[str]]:
    """Return for each execution what its comparisons say, or its highest throughput if it has none.

    The throughput is that of a cell that parity has not refused; cells without a parity check come last. An execution
    with a damaged row is left out.
    """
    compared = comparisons.select().where(comparisons.c.execution_id.in_(ids)).order_by(comparisons.c.key)
    best = cells.select().where(cells.c.execution_id.in_(ids))
    best = best.order_by(cells.c.parity == "not checked", cells.c.samples_per_second.desc())
    pairs, singles = connection.execute(compared).all(), connection.execute(best).all()
    damaged = {row.execution_id for table, rows in ((comparisons, pairs), (cells, singles)) for row in rows
               if not is_whole(table, row)}  # fmt: skip
    found: dict[str, list[Comparison]] = defaultdict(list)
    for row in pairs:
        if row.execution_id not in damaged:
            found[row.execution_id].append(_comparison(row))
    told = {id: headline.headlines(compared) for id, compared in found.items()}
    for row in singles:
        if row.execution_id not in damaged and row.samples_per_second is not None and row.parity != "not comparable":
            told.setdefault(row.execution_id, [_throughput(row)])
    return told


def _comparison(row: Any) -> Comparison:
    """Return a comparison with those of its values that are stored in columns."""
    return Comparison(
        candidate=row.candidate,
        reference=row.reference,
        execution=row.execution,
        candidate_execution=row.candidate_execution,
        reference_execution=row.reference_execution,
        precision=row.precision,
        reference_precision=row.reference_precision,
        workers=row.workers,
        batch_per_worker=int(row.batch) if row.batch else None,
        ratio=None if row.ratio is None else Estimate(value=row.ratio, low=row.ratio_low, high=row.ratio_high),
        blocks=0,
        parity="",
        verdict=row.verdict,
        reason=row.reason,
    )


def _throughput(row: Any) -> str:
    batch = f", batch {row.batch}" if row.batch else ""
    what = f"{row.candidate} {row.execution} {row.precision}, {words.workers(row.workers)}{batch}"
    return f"{row.samples_per_second:,.0f} samples/s: {what}"
