"""The split of a cell's step from the parts in its records, of this schema and of an older one."""

import pytest

from stepmark.analysis.time_split import LaunchParts, launch_parts, stragglers, time_split
from stepmark.results.record import PartName, Parts, RankReport, StartupSeconds, Window

MS = 1_000_000
NOW: dict[PartName, int] = {"step": 20, "step_without_reduce": 15, "step_without_update": 13}
SCHEMA_3: dict[PartName, int] = {
    "step": 20, "step_without_reduce": 15, "forward_backward": 12, "update": 9, "input": 1,
}  # fmt: skip


def launch(block: int, parts: list[dict[PartName, int] | None], missing: str = "") -> LaunchParts | None:
    """Return a launch's parts from milliseconds of each rank, the same in 16 samples; None: a rank without parts."""
    ranks = [
        RankReport(
            rank=rank, host=f"node-{rank}", cpus=(0,), peak_memory_bytes=None, first_loss=None, last_loss=None,
            startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
            windows=(Window(kind="measured", steps=10, host_nanoseconds=1),), compilations_after_warmup=None,
            compilations_after_window=None, flags={},
            parts=None if one is None else Parts(
                nanoseconds={name: (MS * value,) * 16 for name, value in one.items()}, missing=missing
            ),
        )
        for rank, one in enumerate(parts)
    ]  # fmt: skip
    return launch_parts(block, 0.02, ranks)


def launches(*found: LaunchParts | None) -> list[LaunchParts]:
    return [one for one in found if one is not None]


def test_every_launch_counts_once() -> None:
    slower: dict[PartName, int] = {name: 2 * value for name, value in NOW.items()}
    split, reason = time_split(launches(launch(0, [NOW, NOW]), launch(1, [slower, slower])), 0.95)
    assert reason == ""
    assert split is not None
    assert split.launches == 2
    assert split.step_seconds.value == pytest.approx(0.03)
    assert split.update_seconds is not None
    assert split.update_seconds.value == pytest.approx(0.003)
    assert split.step_ratio.value == pytest.approx(2**0.5)


def test_a_record_of_schema_3_is_split_by_the_same_differences() -> None:
    """Timed by itself the update took 9 ms, but the step without exchange has room for only 2 ms."""
    split, _ = time_split(launches(launch(0, [SCHEMA_3])), 0.95)
    assert split is not None
    assert split.update_seconds is not None
    assert split.update_seconds.value == pytest.approx(0.002)
    assert split.compute_seconds.value == pytest.approx(0.012)
    assert split.step_seconds.low is None


def test_a_launch_whose_parts_failed_leaves_the_others_their_split() -> None:
    failed = launch(0, [None, {}], "timing the parts failed: x")
    split, reason = time_split(launches(failed, launch(1, [NOW, NOW])), 0.95)
    assert split is not None
    assert (split.launches, reason) == (1, "")
    assert time_split(launches(failed), 0.95) == (None, "timing the parts failed: x")


def test_ranks_without_parts_make_no_split() -> None:
    assert launch(0, [NOW, None]) is None
    assert time_split([], 0.95) == (None, "no launch timed the parts of its step")
    assert "not every rank" in time_split(launches(launch(0, [NOW, {"step": 1}])), 0.95)[1]


def test_slow_ranks_are_found_over_all_launches_and_named_with_their_host() -> None:
    late: dict[PartName, int] = NOW | {"step_without_reduce": 19}
    report = stragglers(launches(launch(0, [NOW, late]), launch(2, [NOW, late])))
    assert report is not None
    assert (report.launches, report.steps) == (2, 32)
    assert [(one.rank, one.host) for one in report.slow] == [(1, "node-1")]
    assert stragglers(launches(launch(0, [NOW]))) is None
