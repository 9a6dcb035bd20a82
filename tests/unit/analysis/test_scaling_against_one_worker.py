"""The serial fractions of Amdahl's and Gustafson's laws are recovered from speed-ups that follow these laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepmark.analysis import scaling
from stepmark.analysis.intervals import Estimate
from stepmark.plan.cells import Cell


def cell(workers: int, batch_per_worker: int = 8) -> Cell:
    return Cell(
        candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=workers, processes=workers, batch_per_worker=batch_per_worker,
    )  # fmt: skip


def exact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


@given(serial=st.floats(0, 1), workers=st.integers(2, 4096))
def test_karp_flatt_recovers_amdahls_serial_fraction(serial: float, workers: int) -> None:
    found = scaling.karp_flatt(exact(1 / (serial + (1 - serial) / workers)), workers)
    assert found is not None
    assert found.value == pytest.approx(serial, abs=1e-9)


@given(serial=st.floats(0, 1), workers=st.integers(2, 4096))
def test_the_scaled_serial_fraction_recovers_gustafsons_serial_fraction(serial: float, workers: int) -> None:
    found = scaling.scaled_serial_fraction(exact(workers - serial * (workers - 1)), workers)
    assert found is not None
    assert found.value == pytest.approx(serial, abs=1e-9)


@given(value=st.floats(0.5, 100), down=st.floats(0.5, 1), up=st.floats(1, 2), workers=st.integers(2, 512))
def test_the_intervals_of_efficiency_and_serial_fraction_hold_their_values(
    value: float, down: float, up: float, workers: int
) -> None:
    speedup = Estimate(value=value, low=value * down, high=value * up)
    for found in (scaling.efficiency(speedup, workers), scaling.karp_flatt(speedup, workers)):
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high


def test_the_ends_of_the_serial_fraction_are_the_swapped_ends_of_the_speed_up() -> None:
    found = scaling.karp_flatt(Estimate(value=3, low=2, high=4), 4)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0), pytest.approx(1 / 3))


def test_a_factor_of_both_cells_in_a_block_cancels() -> None:
    machine = {block: 100 + 40 * block for block in range(5)}
    found = scaling.scaling_of(cell(4), cell(1), "weak", {b: 3 * m for b, m in machine.items()}, machine)
    assert found is not None
    assert found.speedup.low == pytest.approx(3)
    assert found.efficiency.high == pytest.approx(0.75)


def test_one_block_gives_figures_without_intervals() -> None:
    found = scaling.scaling_of(cell(2, 4), cell(1, 8), "strong", {0: 15.0}, {0: 10.0, 1: 11.0})
    assert found is not None
    assert found.karp_flatt is not None
    assert found.karp_flatt.value == pytest.approx(1 / 3)
    assert (found.karp_flatt.low, found.karp_flatt.high) == (None, None)
    assert found.scaled_serial_fraction is None


@pytest.mark.parametrize(("mode", "batch"), [("weak", 4), ("strong", 8)])
def test_weak_and_strong_scaling_are_never_mixed(mode: scaling.Mode, batch: int) -> None:
    assert scaling.scaling_of(cell(2, batch), cell(1, 8), mode, {0: 2.0, 1: 2.0}, {0: 1.0, 1: 1.0}) is None


def test_one_worker_has_no_serial_fraction() -> None:
    found = scaling.scaling_of(cell(1), cell(1), "weak", {0: 2.0}, {0: 2.0})
    assert found is not None
    assert found.karp_flatt is None


def test_too_good_an_efficiency_is_flagged_with_causes_that_fit_the_mode() -> None:
    over = Estimate(value=1.06, low=1.02, high=1.1)
    assert "cache" in scaling.superlinear_note(over, "strong")
    assert "cache" not in scaling.superlinear_note(over, "weak")
    assert "allows" not in scaling.superlinear_note(over, "weak")
    assert "interval allows 100 %" in scaling.superlinear_note(Estimate(value=1.06, low=0.9, high=1.2), "weak")
    assert scaling.superlinear_note(Estimate(value=1.05, low=1.04, high=1.06), "weak") == ""


def test_superlinear_serial_fractions_are_negative_and_not_clamped() -> None:
    found = scaling.karp_flatt(exact(4.4), 4)
    assert found is not None
    assert found.value < 0
    assert math.isfinite(found.value)
