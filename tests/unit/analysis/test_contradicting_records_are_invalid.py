"""A record whose own numbers disagree enters no verdict."""

from dataclasses import replace

import numpy as np
import pytest

from stepmark.analysis.job_times import job_times
from stepmark.analysis.launch import invalid, reduced
from stepmark.plan.cells import Cell
from stepmark.results.record import Interference, LaunchHeader, LaunchRecord, RankReport, StartupSeconds, Window

MS = 1_000_000


def _of(rank: int, window_ms: int | list[int]) -> int:
    return window_ms if isinstance(window_ms, int) else window_ms[rank]


def record(
    steps: list[list[int]],
    window_ms: int | list[int] = 40,
    compiled: tuple[int, int] = (1, 1),
    flags: dict[str, str] | None = None,
) -> LaunchRecord:
    """Return a record of ranks with one warm-up step and then measured ones; durations are in ms."""
    ranks = tuple(
        RankReport(
            rank=rank,
            host="h",
            cpus=(rank,),
            startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
            windows=(
                Window(kind="warmup", steps=1, host_nanoseconds=row[0] * MS),
                Window(kind="measured", steps=len(row) - 1, host_nanoseconds=_of(rank, window_ms) * MS),
            ),
            peak_memory_bytes=None,
            first_loss=None,
            last_loss=None,
            compilations_after_warmup=compiled[0],
            compilations_after_window=compiled[1],
            flags=flags or {},
        )
        for rank, row in enumerate(steps)
    )
    cell = Cell(
        candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=2, processes=2, batch_per_worker=8,
    )  # fmt: skip
    header = LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell, block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=ranks,
    )  # fmt: skip
    return LaunchRecord(header, np.array(steps, dtype=np.int64) * MS)


GOOD = [[99, 10, 10, 20], [99, 20, 10, 10]]


def test_a_consistent_record_is_valid() -> None:
    assert invalid(record(GOOD)) is None


def test_a_steps_job_time_ends_when_the_last_rank_has_ended_it() -> None:
    assert job_times(record(GOOD)).step_seconds.tolist() == pytest.approx([0.020, 0.010, 0.010])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (record(GOOD, window_ms=44), "steps add up to 0.040 s, and the window took 0.044 s"),
        (record(GOOD, compiled=(1, 2)), "rank 0 compiled inside the measured window"),
        (record([[99, 0, 20, 20], [99, 20, 10, 10]]), "a step's duration is 0 or less"),
        (record(GOOD[:1]), "1 reports and 1 rows of steps from 2 processes"),
    ],
)
def test_a_contradiction_in_a_record_is_named(broken: LaunchRecord, reason: str) -> None:
    assert reason in (invalid(broken) or "")


@pytest.mark.parametrize(
    ("window_ms", "waited_seconds", "said"),
    [(44, 0.005, False), (44, 0.001, True), (44, None, True), (36, 0.005, True)],
)
def test_a_rank_may_wait_for_a_core_between_its_last_step_and_the_end_of_the_window(
    window_ms: int, waited_seconds: float | None, said: bool
) -> None:
    found = Interference(seconds=1, cores=1, limit_share=0.2, run_delay_seconds=waited_seconds)
    made = record(GOOD, window_ms=window_ms)
    ranks = tuple(rank.model_copy(update={"interference": found}) for rank in made.header.ranks)
    preempted = replace(made, header=made.header.model_copy(update={"ranks": ranks}))
    assert (invalid(preempted) is not None) == said


def test_ranks_that_exchange_gradients_cannot_end_their_windows_apart() -> None:
    apart = [[99, *[10] * 100], [99, *[11] * 100]]
    windows_ms = [1000, 1100]
    assert "ranks disagree" in (invalid(record(apart, windows_ms, flags={"transport": "gloo"})) or "")
    assert invalid(record(apart, windows_ms, flags={"transport": "none"})) is None


def test_more_flops_than_the_device_has_is_invalid() -> None:
    fast = record(GOOD, flags={"device_name": "Tesla T4"})
    assert reduced(fast, flops_per_sample=10**9).why_bad is None
    assert "MFU of" in (reduced(fast, flops_per_sample=10**12).why_bad or "")


def test_a_record_that_fails_a_check_has_no_figures() -> None:
    found = reduced(record(GOOD, window_ms=44), None)
    assert found.figures is None
    assert (found.why_bad or "").startswith("invalid: ")
