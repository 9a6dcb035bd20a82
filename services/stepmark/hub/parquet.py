"""Write the steps of a run as one Parquet file (`report.step_table`), from a stream, so that memory stays bounded."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from arro3.core import RecordBatch, RecordBatchReader
from arro3.io import write_parquet

from stepmark.report import step_table
from stepmark.results.store import Row

FILE = "steps.parquet"
_STEPS_IN_A_GROUP = 1 << 20  # these are kept in memory, encoded, until they are written


def write(rows: Iterable[Row], folder: Path) -> None:
    """Write `steps.parquet` in this folder, in the order of the launches, ranks and steps.

    Failed launches have no steps.

    Raises:
        CannotRun: A row is not a launch.
    """
    failed: list[Exception] = []

    def batches() -> Iterator[RecordBatch]:
        try:
            yield from step_table.batches(rows)
        except Exception as error:
            failed.append(error)
            raise

    stream = RecordBatchReader.from_batches(step_table.SCHEMA, batches())
    try:
        write_parquet(stream, folder / FILE, compression="zstd(3)", max_row_group_size=_STEPS_IN_A_GROUP)
    except Exception:  # Arrow raises its own error, which keeps only the text of ours
        if failed:
            raise failed[0] from None
        raise
