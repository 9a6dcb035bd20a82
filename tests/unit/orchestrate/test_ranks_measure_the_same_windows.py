"""One record of all ranks: they have run the same windows with the same stamps, and keep what all of them know."""

import numpy as np

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.session import join_outcomes
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.results.record import LaunchRecord, RankReport, StartupSeconds, Window, pack_steps

CELL = Cell(
    candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
    precision="float32", workers=2, processes=2, batch_per_worker=8,
)  # fmt: skip


def outcome(rank: int, stamp_steps: int, device: bool) -> RankOutcome:
    window = Window(kind="measured", steps=6, host_nanoseconds=1, stamp_steps=stamp_steps)
    report = RankReport(
        rank=rank, host="h", cpus=(0,), windows=(window,), peak_memory_bytes=None, first_loss=None, last_loss=None,
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        compilations_after_warmup=None, compilations_after_window=None, flags={},
    )  # fmt: skip
    steps = np.full((1, 6), rank + 1, dtype=np.int64) if device else None
    host = np.full((1, window.stamps), rank + 1, dtype=np.int64)
    return RankOutcome(rank=rank, report=report, steps_npz=pack_steps(host, steps))


def joined(*outcomes: RankOutcome) -> LaunchRecord:
    return join_outcomes(Launch(CELL, block=0, position=0, seed=0), "0" * 64, "bare", list(outcomes))


def test_times_of_all_ranks_are_joined() -> None:
    found = joined(outcome(1, 2, device=True), outcome(0, 2, device=True))
    assert found.step_nanoseconds.tolist() == [[1] * 3, [2] * 3]
    assert found.device_step_nanoseconds is not None
    assert found.device_step_nanoseconds.tolist() == [[1] * 6, [2] * 6]


def test_times_by_the_device_are_absent_where_a_rank_has_none() -> None:
    assert joined(outcome(0, 2, device=True), outcome(1, 2, device=False)).device_step_nanoseconds is None


def test_ranks_that_stamped_other_stretches_have_not_measured_the_same() -> None:
    failure = joined(outcome(0, 2, device=False), outcome(1, 3, device=False)).header.failure
    assert failure is not None
    assert "different" in failure.cause
