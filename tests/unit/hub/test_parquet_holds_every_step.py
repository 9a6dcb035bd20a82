"""The Parquet table of a run's steps as its readers find it: types, order, missing texts, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from stepmark.errors import CannotRun
from stepmark.hub import parquet
from stepmark.plan.cells import Cell
from stepmark.report import step_table
from stepmark.results.record import Failure, LaunchHeader, RankReport, StartupSeconds, Window, pack_steps
from stepmark.results.store import Row

CELL = Cell(
    candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
    precision="float32", options=("channels-last", "fused-optimizer"), workers=2, processes=2, batch_per_worker=8,
)  # fmt: skip
STEPS = np.array([[10, 11, 12, 13, 14], [20, 21, 22, 23, 2**40]], dtype=np.int64)


def rank() -> RankReport:
    return RankReport(
        rank=0, host="h", cpus=(0,), windows=(Window(kind="warmup", steps=2, host_nanoseconds=1),),
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        peak_memory_bytes=None, first_loss=None, last_loss=None, compilations_after_warmup=None,
        compilations_after_window=None, flags={},
    )  # fmt: skip


def row(block: int, cell: Cell = CELL, failure: Failure | None = None) -> Row:
    header = LaunchHeader(
        launch_id=f"b{block}", scenario_digest="0" * 64, cell=cell, block=block, position=0, launcher="bare",
        forked=True, started_at="", wall_seconds=1, ranks=() if failure else (rank(), rank()), failure=failure,
    )  # fmt: skip
    return header.model_dump_json(), pack_steps(STEPS[:, :0] if failure else STEPS)


def table(folder: Path, columns: str = "*") -> duckdb.DuckDBPyRelation:
    return duckdb.sql(f"SELECT {columns} FROM '{folder / parquet.FILE}'")  # type: ignore[return-value]


def test_every_column_has_its_name_and_type(tmp_path: Path) -> None:
    parquet.write([row(0)], tmp_path)
    found = table(tmp_path)
    texts = ["launch_id", "candidate", "engine", "strategy", "variant", "execution", "precision"]
    numbers = ["workers", "batch_per_worker", "block", "attempt", "rank", "step", "stamp_steps"]
    kinds = dict.fromkeys(texts, "VARCHAR") | {"options": "VARCHAR[]"} | dict.fromkeys(numbers, "INTEGER")
    kinds |= {"step_nanoseconds": "BIGINT", "warmup": "BOOLEAN", "disturbed": "BOOLEAN"}
    kinds |= {"device_step_nanoseconds": "BIGINT[]"}
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == kinds


def test_rows_stand_in_the_order_of_launches_ranks_and_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_table, "_STEPS_AT_ONCE", 2)
    monkeypatch.setattr(parquet, "_STEPS_IN_A_GROUP", 3)
    parquet.write([row(1), row(0, failure=Failure(rank=0, cause="x")), row(2)], tmp_path)
    assert table(tmp_path, "launch_id, rank, step, step_nanoseconds, warmup").fetchall() == [
        (f"b{block}", rank, step, int(STEPS[rank, step]), step < 2)
        for block in (1, 2)
        for rank in range(2)
        for step in range(5)
    ]
    groups = duckdb.sql(f"SELECT count(DISTINCT row_group_id) FROM parquet_metadata('{tmp_path / parquet.FILE}')")
    assert groups.fetchall() == [(7,)]  # type: ignore[union-attr]


def test_a_stamp_of_several_steps_says_how_many_and_lists_them_by_the_devices_clock(tmp_path: Path) -> None:
    windows = (
        Window(kind="warmup", steps=2, host_nanoseconds=1),
        Window(kind="measured", steps=5, host_nanoseconds=1, stamp_steps=2),
    )
    ranks = [one.model_copy(update={"windows": windows}) for one in (rank(), rank())]
    header = LaunchHeader.model_validate_json(row(0)[0]).model_copy(update={"ranks": tuple(ranks)}).model_dump_json()
    device = np.arange(1, 11, dtype=np.int64).reshape(2, 5)
    parquet.write([(header, pack_steps(STEPS, device)), (header, pack_steps(STEPS))], tmp_path)
    found = table(tmp_path, "rank, step, stamp_steps, step_nanoseconds, device_step_nanoseconds").fetchall()
    assert found[:5] == [
        (0, 0, 1, 10, None),
        (0, 1, 1, 11, None),
        (0, 2, 2, 12, [1, 2]),
        (0, 4, 2, 13, [3, 4]),
        (0, 6, 1, 14, [5]),
    ]
    assert [lists for *_, lists in found[7:]] == [[6, 7], [8, 9], [10], *[None] * 10]


def test_missing_texts_and_lists_come_back(tmp_path: Path) -> None:
    plain = CELL.model_copy(update={"variant": "plain", "options": ()})
    parquet.write([row(0), row(1, plain)], tmp_path)
    found = table(tmp_path, "DISTINCT block, variant, options").order("block")
    assert found.fetchall() == [(0, None, ["channels-last", "fused-optimizer"]), (1, "plain", [])]


def test_a_run_without_steps_is_an_empty_table(tmp_path: Path) -> None:
    parquet.write([], tmp_path)
    assert table(tmp_path).fetchall() == []


def test_an_error_while_a_row_is_read_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="a stored launch"):
        parquet.write([row(0), ("{}", b"")], tmp_path)

    def gone() -> Iterator[Row]:
        yield row(0)
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError, match="the database is away"):
        parquet.write(gone(), tmp_path)
