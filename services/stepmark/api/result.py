"""Define a run's result as Python and notebooks see it: the summary's own models, and the raw steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison
from stepmark.analysis.summary import Summary
from stepmark.errors import CannotRun
from stepmark.report import headline, markdown, notebook
from stepmark.results.record import LaunchRecord
from stepmark.results.store import SqliteStore
from stepmark.scenario.model import Scenario

if TYPE_CHECKING:
    import arro3.core
    import pandas


class Result:
    """The result of one run. Its text is the verdict in sentences, and a notebook shows the report's main parts.

    `folder` is the run's folder, in which results.db holds the raw steps, and `summary` everything that was derived.
    """

    def __init__(self, folder: Path, summary: Summary) -> None:
        self.folder, self.summary = folder, summary

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """The result of every cell, in the order of the plan."""
        return self.summary.cells

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """How each candidate compares with the reference, with ratio, interval and verdict."""
        return self.summary.comparisons

    @property
    def failed(self) -> bool:
        """Whether anything that was to be measured was not, or failed."""
        return self.summary.failed

    @property
    def verdict(self) -> str:
        """What may be claimed, one sentence a line. Every report begins with it."""
        return "\n".join(headline.of_run(self.summary))

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run."""
        with self._store() as store:
            return store.run().parsed_scenario

    def cell(self, key: str) -> CellResult:
        """Return the result of one cell by its key, such as "torch.eager.float32.w2".

        Raises:
            KeyError: the run has no such cell.
        """
        for one in self.cells:
            if one.key == key:
                return one
        raise KeyError(f"expected one of {', '.join(one.key for one in self.cells)}, found {key}.")

    def launches(self, cell: str | None = None) -> Iterator[LaunchRecord]:
        """Yield the records of all launches, or of one cell's, in the order of the plan; failed ones too.

        A record's `step_nanoseconds` is a NumPy array, int64 of shape (ranks, stamps), warm-up first.

        Raises:
            KeyError: the run has no such cell.
            CannotRun: the records are not what was written.
        """
        wanted = None if cell is None else self.cell(cell).key
        with self._store() as store:
            for record in store.records():
                if wanted in (None, record.header.cell.key):
                    yield record

    def to_arrow(self) -> "arro3.core.Table":
        """Return all steps as an Arrow table, with the columns of the hub's Parquet download.

        A row is one stamp of one rank: mostly one step, in `step_nanoseconds`. It needs the package arro3-core.

        Raises:
            CannotRun: the package is missing, or the records are not what was written.
        """
        try:
            from arro3.core import Table

            from stepmark.report import step_table
        except ImportError:
            raise _lacks("to_arrow", "arro3-core") from None
        with self._store() as store:
            return Table.from_batches(list(step_table.batches(store.rows())), schema=step_table.SCHEMA)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the table of `to_arrow` as a data frame. It needs pandas 3 and pyarrow besides.

        Raises:
            CannotRun: a package is missing, or the records are not what was written.
        """
        table = self.to_arrow()
        try:
            import pandas
            import pyarrow  # noqa: F401  (pandas reads Arrow with it)
        except ImportError:
            raise _lacks("to_pandas", "pandas>=3 pyarrow") from None
        return pandas.DataFrame.from_arrow(table)

    @contextmanager
    def _store(self) -> Iterator[SqliteStore]:
        store = SqliteStore.open(self.folder)
        try:
            yield store
        finally:
            store.close()

    def __str__(self) -> str:
        return self.verdict

    def __repr__(self) -> str:
        return f"<Result of {self.summary.scenario} in {self.folder}: {len(self.cells)} cells>"

    def _repr_html_(self) -> str:
        return notebook.render(self.summary)

    def _repr_markdown_(self) -> str:
        return markdown.verdict(self.summary)


def _lacks(method: str, packages: str) -> CannotRun:
    return CannotRun(f"{method}: expected the packages {packages}, found not all of them. pip install '{packages}'")
