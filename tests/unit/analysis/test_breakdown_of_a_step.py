"""The breakdown of synthetic ranks whose parts are known; one of the ranks is 15 ms late."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stepmark.analysis.breakdown import Breakdown, LaunchSplit, breakdown, bus_bytes_per_second, launch_split

LATE, EXCHANGE, FORWARD_BACKWARD, UPDATE, INPUT = 0.015, 0.013, 0.018, 0.002, 0.001


def timed(
    ranks: int, jitter: float = 0.02, hidden: float = 0.0, samples: int = 60, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Return seconds of every variant of the step, each of shape (ranks, samples).

    The last rank is late, and `hidden` seconds of the exchange are overlapped by compute.
    """
    rng = np.random.default_rng([ranks, seed])

    def noisy(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        return seconds[:, None] * np.exp(jitter * rng.standard_normal((ranks, samples)))

    alike = np.ones(ranks)
    compute = FORWARD_BACKWARD * alike
    compute[-1] += LATE
    own = INPUT + compute + UPDATE
    return {
        "step": noisy((own.max() + EXCHANGE - hidden) * alike),
        "step_without_reduce": noisy(own),
        "step_without_update": noisy(own - UPDATE),
        "input_wait": noisy(INPUT * alike),
        "isolated_all_reduce": noisy(EXCHANGE * alike),
    }


def one(split: LaunchSplit) -> Breakdown:
    """Return the breakdown of a single launch, whose window's steps are as long as the split's."""
    return breakdown([split], [split.step])


@pytest.mark.parametrize("ranks", [2, 8, 64])
def test_a_straggler_of_15_ms_is_distinguished_from_communication(ranks: int) -> None:
    found = one(launch_split(**timed(ranks), reduced_bytes=16_000_000))
    assert found.exposed_communication_seconds.value == pytest.approx(EXCHANGE, rel=0.1)
    assert found.rank_wait_seconds[:-1] == pytest.approx([LATE] * (ranks - 1), rel=0.1)
    assert found.rank_wait_seconds[-1] == pytest.approx(0, abs=0.1 * LATE)
    assert found.wait_seconds.value == pytest.approx(LATE * (ranks - 1) / ranks, rel=0.1)
    assert found.compute_seconds.value == pytest.approx(FORWARD_BACKWARD + LATE / ranks, rel=0.1)
    assert found.notes == ()


def test_the_exchange_and_the_waiting_of_a_known_measurement_are_recovered() -> None:
    """Two gloo ranks, one delayed by 15 ms, have medians of 13 ms of exchange and 15 ms of waiting, not 28 and 13."""
    found = launch_split(
        step=[0.0502, 0.0514], step_without_reduce=[0.0222, 0.0381], isolated_all_reduce=[0.0115, 0.0118]
    )
    assert found.exposed == pytest.approx(0.0133)
    assert found.rank_wait == pytest.approx([0.0147, 0.0])
    assert found.overlap == pytest.approx(1 - 13.3 / 11.65)  # negative, and not clamped


@given(
    times=st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.005, 1), st.floats(0, 1)), min_size=1, max_size=20),
    measured=st.booleans(),
    launches=st.integers(1, 3),
)
@settings(max_examples=50, deadline=None)
def test_the_parts_always_add_up_to_the_step(
    times: list[tuple[float, float, float]], measured: bool, launches: int
) -> None:
    step, own, part = np.array(times).T
    split = launch_split(
        step=step, step_without_reduce=own, input_wait=0.2 * own, step_without_update=part if measured else None
    )
    found = breakdown([split] * launches, [split.step] * launches)
    parts = (
        found.input_seconds, found.compute_seconds, found.exposed_communication_seconds, found.wait_seconds,
        found.update_seconds,
    )  # fmt: skip
    assert sum(part.value for part in parts if part is not None) == pytest.approx(found.step_seconds.value)
    assert min(found.rank_wait_seconds) == pytest.approx(0, abs=1e-12)


def test_the_update_is_the_step_without_exchange_less_the_step_without_update() -> None:
    found = launch_split(step=[0.05, 0.05], step_without_reduce=[0.03, 0.03], step_without_update=[0.0296, 0.0296])
    assert found.update == pytest.approx(0.0004)
    assert found.compute == pytest.approx(0.0296)


def test_the_overlap_is_the_share_of_the_exchange_that_compute_hides() -> None:
    found = launch_split(**timed(4, jitter=0.001, hidden=0.75 * EXCHANGE))  # type: ignore[arg-type]
    assert found.overlap == pytest.approx(0.75, abs=0.03)


def test_a_part_that_was_not_measured_is_unknown() -> None:
    found = one(launch_split(step=[0.05, 0.05], step_without_reduce=[0.03, 0.03]))
    assert (found.input_seconds, found.update_seconds, found.overlap) == (None,) * 3
    assert found.compute_seconds.value == pytest.approx(0.03)
    assert found.bus_bytes_per_second is None


def test_the_bus_bandwidth_is_computed_as_nccl_tests_do() -> None:
    assert bus_bytes_per_second(8_000_000_000, 0.04, 8) == pytest.approx(350e9)
    assert bus_bytes_per_second(8_000_000_000, 0.04, 1) is None


def test_launches_give_each_part_an_interval_that_may_hold_zero() -> None:
    """The update of 2 ms is clear; the part of an exchange that is wholly hidden is noise around zero."""
    splits = [launch_split(**timed(2, hidden=EXCHANGE, seed=seed)) for seed in range(5)]  # type: ignore[arg-type]
    found = breakdown(splits, [split.step for split in splits])
    update, exposed = found.update_seconds, found.exposed_communication_seconds
    assert found.launches == 5
    assert update is not None
    assert update.low is not None
    assert 0 < update.low < UPDATE < (update.high or 0)
    assert not exposed.excludes(0) or exposed.value < 0  # the part is the smaller noise of two ranks
    alone = breakdown(splits[:1], [splits[0].step])
    assert (alone.launches, alone.step_seconds.low) == (1, None)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_of_a_part_covers_the_true_value_as_often_as_its_confidence_says(confidence: float) -> None:
    rng, covered, trials = np.random.default_rng(1), 0, 400
    for _ in range(trials):
        updates = 0.001 + 0.004 * rng.standard_normal(5)  # launches differ by more than the part, and its sign changes
        splits = [
            launch_split(step=[0.03], step_without_reduce=[0.03], step_without_update=[0.03 - update])
            for update in updates
        ]
        update = breakdown(splits, [0.03] * 5, confidence).update_seconds
        covered += update is not None and not update.excludes(0.001)
    assert covered / trials == pytest.approx(confidence, abs=0.06)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("smaller than the noise", {"step_without_reduce": [0.051, 0.051]}),
        ("did not wait for each other", {"step": [0.05, 0.06]}),
        ("placing the batch", {"input_wait": [0.04, 0.04]}),
    ],
)
def test_a_doubtful_split_has_a_note_that_says_why(words: str, changes: dict[str, list[float]]) -> None:
    times = {"step": [0.05, 0.05], "step_without_reduce": [0.03, 0.03]} | changes
    assert words in "; ".join(one(launch_split(**times)).notes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ((0.0163, 0.0165, 0.0161), "take 24.10 ms, those in the windows 16.30 ms (x 1.48 [1.4"),
        ((0.0240, 0.0242, 0.0239), ""),
        ((0.0163,), "take 24.10 ms, those in the windows 16.30 ms (x 1.48)"),
        ((0.0225,), ""),
    ],
)
def test_a_split_of_steps_that_are_longer_than_the_windows_says_so(own: tuple[float, ...], said: str) -> None:
    splits = [launch_split(step=[0.0241], step_without_reduce=[0.0241])] * len(own)
    notes = "; ".join(breakdown(splits, own).notes)
    assert said in notes
    assert bool(said) == bool(notes)


@pytest.mark.parametrize("wrong", [[0.03], [[]], [0.03, float("nan")]])
def test_times_of_other_ranks_no_times_and_unknown_times_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"ranks"):
        launch_split(step=[0.05, 0.05], step_without_reduce=wrong)
