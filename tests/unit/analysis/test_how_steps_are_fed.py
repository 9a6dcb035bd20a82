"""The figures of a feed, from records made by hand: bytes, waiting, and its pace without training."""

from typing import Any

import pytest

from stepmark.analysis.feeding import feeding, launch_feeding
from stepmark.results.feeding import Feeding
from stepmark.results.record import LaunchHeader, Parts, RankReport, Window

MS = 1_000_000


def header(*ranks: tuple[int, int] | None) -> LaunchHeader:
    """A launch of 64 samples a step whose ranks waited so many of 100 ms, and took a batch alone in so many ms."""
    reports = [
        RankReport.model_construct(  # type: ignore[call-arg]
            rank=number,
            flags={"input_copied": "yes"},
            windows=(Window(kind="warmup", steps=5, host_nanoseconds=7), window()),
            feeding=None if one is None else fed(one[0]),
            parts=None if one is None or not one[1] else Parts(nanoseconds={"pipeline": (MS, (2 * one[1] - 1) * MS)}),
        )
        for number, one in enumerate(ranks)
    ]
    cell: Any = type("Cell", (), {"global_batch": 64})
    return LaunchHeader.model_construct(cell=cell, ranks=tuple(reports))  # type: ignore[call-arg]


def window() -> Window:
    return Window(kind="measured", steps=10, host_nanoseconds=100 * MS)


def fed(waited: int) -> Feeding:
    return Feeding(way="by hand", batch_bytes=3200, wait_nanoseconds=waited * MS)


def test_a_launch_waits_as_its_ranks_do_and_is_fed_no_faster_than_the_slowest() -> None:
    found = launch_feeding(header((20, 4), (40, 8)))
    assert found is not None
    assert (found.way, found.copied, found.bytes_per_sample) == ("by hand", True, 100.0)
    assert found.wait_ratio == pytest.approx(0.3)
    assert found.ceiling_samples_per_second == pytest.approx(64 / 0.008)


def test_resident_samples_are_not_fed_and_an_unknown_pace_stays_unknown() -> None:
    assert launch_feeding(header(None)) is None
    assert launch_feeding(header((20, 4), None)) is None
    found = launch_feeding(header((20, 0), (40, 8)))
    assert found is not None
    assert found.ceiling_samples_per_second is None
    assert feeding([], 1000.0, 0.95) is None
    whole = feeding([found], 1000.0, 0.95)
    assert whole is not None
    assert whole.ceiling_samples_per_second is None


def test_a_cell_has_means_over_launches_with_intervals() -> None:
    launches = [launch_feeding(header((20, 4))), launch_feeding(header((30, 4)))]
    found = feeding([one for one in launches if one is not None], 2000.0, 0.95)
    assert found is not None
    assert found.bytes_per_second == pytest.approx(2000 * 50)
    assert found.wait_ratio.value == pytest.approx(0.25)
    assert found.wait_ratio.low is not None
    assert found.ceiling_samples_per_second is not None
    assert found.ceiling_samples_per_second.value == pytest.approx(64 / 0.004)
