"""Synthetic ranks whose parts are known, among them one that is 15 ms late."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stepmark.analysis.breakdown import breakdown, bus_bytes_per_second

LATE, EXCHANGE, FORWARD_BACKWARD, UPDATE, INPUT = 0.015, 0.013, 0.018, 0.002, 0.001


def timed(ranks: int, jitter: float = 0.02, hidden: float = 0.0, samples: int = 60) -> dict[str, NDArray[np.float64]]:
    """Samples of every variant, shape (ranks, samples); the last rank is late, `hidden` seconds are overlapped."""
    rng = np.random.default_rng(ranks)

    def noisy(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        return seconds[:, None] * np.exp(jitter * rng.standard_normal((ranks, samples)))

    alike = np.ones(ranks)
    compute = FORWARD_BACKWARD * alike
    compute[-1] += LATE
    own = INPUT + compute + UPDATE
    return {
        "step": noisy((own.max() + EXCHANGE - hidden) * alike),
        "step_without_reduce": noisy(own),
        "forward_backward": noisy(compute),
        "update": noisy(UPDATE * alike),
        "input_wait": noisy(INPUT * alike),
        "isolated_all_reduce": noisy(EXCHANGE * alike),
    }


@pytest.mark.parametrize("ranks", [2, 8, 64])
def test_a_straggler_of_15_ms_is_told_from_communication(ranks: int) -> None:
    found = breakdown(**timed(ranks), reduced_bytes=16_000_000)
    assert found.exposed_communication_seconds == pytest.approx(EXCHANGE, rel=0.1)
    assert found.rank_wait_seconds[:-1] == pytest.approx([LATE] * (ranks - 1), rel=0.1)
    assert found.rank_wait_seconds[-1] == pytest.approx(0, abs=0.1 * LATE)
    assert found.wait_seconds == pytest.approx(LATE * (ranks - 1) / ranks, rel=0.1)
    assert found.adds_up
    assert found.notes == ()


def test_what_the_reference_measurement_says_is_recovered() -> None:
    """Two gloo ranks, one delayed by 15 ms, medians in ms: 13 of exchange and 15 of waiting, not 28 and 13."""
    found = breakdown(step=[0.0502, 0.0514], step_without_reduce=[0.0222, 0.0381], isolated_all_reduce=[0.0115, 0.0118])
    assert found.exposed_communication_seconds == pytest.approx(0.0133)
    assert found.rank_wait_seconds == pytest.approx([0.0147, 0.0])
    assert found.overlap == pytest.approx(1 - 13.3 / 11.65)  # negative, and not clamped


@given(
    times=st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.005, 1), st.floats(0, 1)), min_size=1, max_size=20),
    measured=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_the_parts_always_add_up_to_the_step(times: list[tuple[float, float, float]], measured: bool) -> None:
    step, own, part = np.array(times).T
    found = breakdown(
        step=step, step_without_reduce=own, update=0.1 * own, input_wait=0.2 * own,
        forward_backward=part if measured else None,
    )  # fmt: skip
    parts = (
        found.input_seconds, found.compute_seconds, found.exposed_communication_seconds, found.wait_seconds,
        found.update_seconds, found.unexplained_seconds,
    )  # fmt: skip
    assert sum(part for part in parts if part is not None) == pytest.approx(found.step_seconds)
    assert min(found.rank_wait_seconds) == 0


def test_overlap_is_the_share_that_compute_hides() -> None:
    found = breakdown(**timed(4, jitter=0.001, hidden=0.75 * EXCHANGE))
    assert found.overlap == pytest.approx(0.75, abs=0.03)


def test_what_was_not_measured_is_unknown() -> None:
    found = breakdown(step=[0.05, 0.05], step_without_reduce=[0.03, 0.03])
    unknown = (found.input_seconds, found.update_seconds, found.unexplained_seconds, found.overlap, found.adds_up)
    assert unknown == (None,) * 5
    assert found.compute_seconds == pytest.approx(0.03)
    assert found.bus_bytes_per_second is None


def test_bus_bandwidth_is_that_of_nccl_tests() -> None:
    assert bus_bytes_per_second(8_000_000_000, 0.04, 8) == pytest.approx(350e9)
    assert bus_bytes_per_second(8_000_000_000, 0.04, 1) is None


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("do not add up", {"forward_backward": [0.02, 0.02]}),
        ("smaller than the noise", {"step_without_reduce": [0.051, 0.051]}),
        ("did not wait for each other", {"step": [0.05, 0.06]}),
        ("exceed", {"update": [0.04, 0.04]}),
    ],
)
def test_a_doubtful_split_says_so(words: str, changes: dict[str, list[float]]) -> None:
    times = {"step": [0.05, 0.05], "step_without_reduce": [0.03, 0.03]} | changes
    assert words in "; ".join(breakdown(**times).notes)


@pytest.mark.parametrize("wrong", [[0.03], [[]], [0.03, float("nan")]])
def test_times_of_other_ranks_or_none_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"ranks"):
        breakdown(step=[0.05, 0.05], step_without_reduce=wrong)
