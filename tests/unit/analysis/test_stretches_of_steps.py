"""Where a stamp ends several steps, figures are per step, weighed by the steps, and words count steps."""

import numpy as np
import pytest

from stepmark.analysis.job_times import device_step_seconds, job_times
from stepmark.analysis.launch import invalid, summarize
from stepmark.analysis.long_steps import long_step
from stepmark.analysis.steady import steady_state
from stepmark.plan.cells import Cell
from stepmark.results.record import LaunchHeader, LaunchRecord, RankReport, StartupSeconds, Window

MS = 1_000_000


def record(
    stamps: list[list[int]], steps: int, stamp_steps: int = 10, device: list[list[int]] | None = None, **flags: str
) -> LaunchRecord:
    """Ranks with one warm-up step, and a measured window of `steps` steps, stamped every `stamp_steps`; all in ms."""
    ranks = tuple(
        RankReport(
            rank=rank, host="h", cpus=(rank,), peak_memory_bytes=None, first_loss=None, last_loss=None, flags=flags,
            startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
            windows=(
                Window(kind="warmup", steps=1, host_nanoseconds=99 * MS),
                Window(kind="measured", steps=steps, host_nanoseconds=sum(row) * MS, stamp_steps=stamp_steps),
            ),
            compilations_after_warmup=None, compilations_after_window=None,
        )
        for rank, row in enumerate(stamps)
    )  # fmt: skip
    cell = Cell(
        candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=len(stamps), processes=len(stamps), batch_per_worker=8,
    )  # fmt: skip
    header = LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell, block=3, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=ranks,
    )  # fmt: skip
    host = np.array([[99, *row] for row in stamps], dtype=np.int64) * MS
    return LaunchRecord(header, host, None if device is None else np.array(device, dtype=np.int64) * MS)


def test_a_shorter_last_stretch_weighs_less() -> None:
    found = record([[100, 300, 20]], steps=22)
    times = job_times(found)
    assert times.steps.tolist() == [10, 10, 2]
    assert times.step_seconds.tolist() == pytest.approx([0.010, 0.030, 0.010])
    figures = summarize(found)
    assert figures.mean_step_seconds == pytest.approx(0.420 / 22, rel=1e-14)
    assert figures.samples_per_second == pytest.approx(8 * 22 / 0.420, rel=1e-14)
    assert figures.single_step_seconds is None


def test_a_jobs_step_by_the_devices_clocks_ends_when_the_last_rank_has_ended_it() -> None:
    found = device_step_seconds(record([[70], [70]], steps=3, device=[[10, 40, 20], [30, 10, 30]]))
    assert found is not None
    assert found.tolist() == pytest.approx([0.030, 0.020, 0.020])


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ([[10] * 20], ""),
        ([[10] * 19 + [11]], ""),
        ([[10] * 19 + [12]], "host and device clocks disagree: the measured steps of rank 0 took 0.202 s by the dev"),
        ([[10] * 19], "steps by the device's clock of shape (1, 19), expected (1, 20)"),
        ([[10] * 18 + [0, 20]], "a step's duration by the device's clock is 0 or less"),
    ],
)
def test_a_devices_times_must_fit_the_windows(device: list[list[int]], reason: str) -> None:
    found = invalid(record([[100, 100]], steps=20, device=device))
    assert found is None if not reason else reason in (found or "")


def test_ranks_that_exchange_gradients_end_within_a_step_and_not_within_a_stretch() -> None:
    one = [[200] * 3, [200, 200, 211]]
    two = [[200] * 3, [200, 200, 230]]
    assert invalid(record(one, steps=30, transport="nccl")) is None
    assert "ranks disagree" in (invalid(record(two, steps=30, transport="nccl")) or "")


def test_ranks_have_the_same_windows() -> None:
    found = record([[200, 200], [200, 200]], steps=20)
    ranks = list(found.header.ranks)
    other = ranks[1].windows[1].model_copy(update={"steps": 19})
    ranks[1] = ranks[1].model_copy(update={"windows": (ranks[1].windows[0], other)})
    mixed = LaunchRecord(found.header.model_copy(update={"ranks": tuple(ranks)}), found.step_nanoseconds)
    assert invalid(mixed) == "rank 1: its windows are not those of rank 0"


def test_a_long_step_is_found_in_its_stretch_or_by_the_devices_clock() -> None:
    stamps = [[100] * 19 + [1_600]]
    assert long_step(record(stamps, 200)) == (
        "one of the steps 191 to 200 of rank 0 in block 3 took 1.51 s, 151 times the median"
    )
    device = [[10] * 195 + [1_510] + [10] * 4]
    assert (
        long_step(record(stamps, 200, device=device))
        == "step 196 of rank 0 in block 3 took 1.51 s, 151 times the median"
    )
    assert long_step(record([[1_000] * 20], 200)) == ""


def test_what_is_said_of_a_window_counts_its_steps() -> None:
    level = np.concatenate([np.ones(25), np.full(25, 1.05)]) * np.exp(1e-4 * np.sin(np.arange(50)))
    plain, stretched = steady_state(level), steady_state(level, stamp_steps=20)
    assert plain.reason.endswith("slower at step 25")
    assert stretched.reason.endswith("slower at step 500")
    assert (stretched.verdict, stretched.start) == (plain.verdict, plain.start)
    assert (plain.median_after_first_seconds is None, stretched.median_after_first_seconds) == (False, None)


def test_a_record_that_contradicts_itself_can_still_be_shown() -> None:
    found = record([[100, 300]], steps=2**31 - 1, stamp_steps=1)
    assert found.steps_of_stamps.tolist() == [1, 1, 1]
    assert "windows and steps differ in number" in (invalid(found) or "")
