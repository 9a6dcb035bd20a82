"""Launches are reduced on all cores, in the same order and with the same figures as one after another."""

import numpy as np
import pytest

from stepmark.analysis import many
from stepmark.analysis.launch import reduced
from stepmark.plan.cells import Cell
from stepmark.results.record import NO_STEPS, Failure, LaunchHeader, LaunchRecord, pack_steps
from stepmark.results.store import Row


def failed(block: int) -> LaunchRecord:
    cell = Cell(
        candidate="a", engine="sleeper", strategy="single", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=1, processes=1, batch_per_worker=8,
    )  # fmt: skip
    header = LaunchHeader(
        launch_id=f"b{block}", scenario_digest="0" * 64, cell=cell, block=block, position=0, launcher="bare",
        forked=True, started_at="", wall_seconds=1, failure=Failure(rank=None, cause="no room"),
    )  # fmt: skip
    return LaunchRecord(header, NO_STEPS)


def row(record: LaunchRecord) -> Row:
    return record.header.model_dump_json(), pack_steps(np.zeros((0, 0), np.int64))


def test_many_rows_reduced_on_all_cores_give_the_same_as_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [failed(block) for block in range(7)]
    monkeypatch.setattr(many, "_MANY", 3)
    monkeypatch.setattr(many, "_CHUNK", 2)
    monkeypatch.setattr(many, "_CHUNKS_AHEAD", 2)
    assert list(many.reduced_rows(map(row, records), None)) == [reduced(record, None) for record in records]
