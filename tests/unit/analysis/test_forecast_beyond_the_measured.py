"""Laws that a forecast keeps on any curve, known curves that it recovers, and what it warns of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepmark.analysis.curves import Settings, weak
from stepmark.analysis.forecast import Mode, Point, Prediction, forecast, point_of_throughput  # type: ignore[attr-defined]

COUNTS = st.lists(st.sampled_from([1, 2, 4, 6, 8, 16, 24, 32]), min_size=1, max_size=5, unique=True)
MODES: list[Mode] = ["weak", "strong"]


@st.composite
def curves(draw: st.DrawFn) -> list[Point]:
    return [Point(n, draw(st.floats(0.5, 2)) / draw(st.sampled_from([1, n]))) for n in draw(COUNTS)]


def of(law: dict[int, float]) -> list[Point]:
    return [Point(n, t) for n, t in law.items()]


def ring(nodes: float, share: float = 0.3) -> float:
    return 1 + share * 2 * (nodes - 1) / nodes


@pytest.mark.parametrize("mode", MODES)
@given(points=curves(), per_node=st.sampled_from([None, 1, 4, 8]), factor=st.floats(1e-6, 1e6))
@settings(max_examples=50, deadline=None)
def test_a_forecast_is_the_same_in_every_unit_of_time(
    mode: Mode, points: list[Point], per_node: int | None, factor: float
) -> None:
    targets = [32, 64, 300]
    scaled = forecast([Point(p.workers, p.step_seconds * factor) for p in points], targets, per_node, mode)
    for one, other in zip(forecast(points, targets, per_node, mode), scaled, strict=True):
        assert other.step_seconds == pytest.approx(one.step_seconds * factor, rel=1e-6)
        assert other.high_80 == pytest.approx(one.high_80 * factor, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
@given(points=curves(), per_node=st.sampled_from([None, 4, 8]), target=st.integers(33, 4096))
@settings(max_examples=50, deadline=None)
def test_no_forecast_beats_ideal_scaling_and_bands_are_nested(
    mode: Mode, points: list[Point], per_node: int | None, target: int
) -> None:
    last = max(points, key=lambda point: point.workers)
    found = forecast(points, [target], per_node, mode)[0]
    ideal = last.step_seconds * (last.workers / target if mode == "strong" else 1)
    assert found.step_seconds >= ideal * (1 - 1e-9)
    assert found.low_95 <= found.low_80 < found.step_seconds < found.high_80 <= found.high_95
    assert math.isfinite(found.high_95)


def test_a_measured_worker_count_is_forecast_with_its_measured_interval() -> None:
    found = forecast([Point(1, 1.0), Point(2, 1.1, 1.0, 1.21), Point(4, 1.2)], [2], 8)[0]
    assert found.step_seconds == pytest.approx(1.1)
    assert found.low_95 == pytest.approx(1.0, rel=0.02)
    assert found.high_95 == pytest.approx(1.21, rel=0.02)


@pytest.mark.parametrize(
    ("mode", "law", "between"), [("weak", {1: 1.0, 4: 1.21}, 1.1), ("strong", {1: 1.0, 4: 0.25}, 0.5)]
)
def test_a_forecast_between_measured_counts_interpolates_along_ideal_scaling(
    mode: Mode, law: dict[int, float], between: float
) -> None:
    found = forecast(of(law), [2], 8, mode)[0]
    assert found.step_seconds == pytest.approx(between)
    assert found.low_80 < between < found.high_80
    assert found.boundary == "not needed"


def test_a_flat_curve_is_forecast_to_stay_nearly_flat() -> None:
    found = forecast(of({1: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}), [64, 256], 8)
    assert all(1 <= prediction.step_seconds < 1.04 for prediction in found)


def test_the_cost_of_a_ring_between_nodes_is_recovered_once_the_boundary_was_crossed() -> None:
    found = forecast(of({1: 1.0, 8: 1.0, 16: ring(2), 32: ring(4)}), [48, 64], 8)
    for prediction, nodes in zip(found, (6, 8), strict=True):
        assert prediction.step_seconds == pytest.approx(ring(nodes), rel=0.07)
        assert prediction.low_80 <= ring(nodes) <= prediction.high_80
        assert prediction.boundary == "seen"


@pytest.mark.parametrize(("inside", "between", "tree"), [(0.1, 0.0, 0.0), (0.1, 0.2, 0.0), (0.0, 0.1, 0.03)])
def test_the_topology_model_recovers_its_own_law(inside: float, between: float, tree: float) -> None:
    def law(n: float) -> float:
        local, nodes = min(n, 8), max(n / 8, 1)
        return 1 + inside * (local - 1) / local + between * 2 * (nodes - 1) / nodes + tree * math.log2(nodes)

    workers = np.array([1.0, 2, 4, 8, 16, 32])
    seconds = np.array([law(n) for n in workers])
    logs, _ = weak(workers, seconds, 8, np.array([256.0]), Settings(ridge=1e-6))
    assert math.exp(logs[0, 0]) == pytest.approx(law(256), rel=1e-4)


@pytest.mark.parametrize("serial", [0.0, 0.02, 0.2])
def test_amdahls_law_is_recovered_in_strong_scaling(serial: float) -> None:
    law = {n: serial + (1 - serial) / n for n in (1, 2, 4, 8, 16)}
    found = forecast(of({n: law[n] for n in (1, 2, 4)}), [8, 16], 16, "strong")
    for prediction in found:
        assert prediction.low_80 <= law[prediction.workers] <= prediction.high_80
        assert prediction.step_seconds == pytest.approx(law[prediction.workers], rel=0.08)


def test_a_fixed_global_batch_costs_every_device_efficiency_also_from_one_point() -> None:
    found = forecast([Point(2, 1.0)], [4, 8], 8, "strong")
    assert [one.step_seconds for one in found] == pytest.approx([0.55, 0.325], rel=0.01)
    assert found[1].efficiency < found[0].efficiency < 0.95


def test_across_nodes_a_fixed_global_batch_has_the_widest_band_since_no_curves_are_behind_it() -> None:
    law = {1: 1.0, 4: 0.27, 8: 0.15, 16: 0.09}
    inside, seen = (forecast(of(law), [32], per_node, "strong")[0] for per_node in (64, 8))
    weak_unseen = forecast(of({1: 1.0, 4: 1.02, 8: 1.03}), [16], 8)[0]
    assert width(seen) > width(inside)
    assert width(seen) == pytest.approx(width(weak_unseen), rel=0.02)


def test_past_a_boundary_that_was_never_crossed_a_network_adds_time() -> None:
    points = of({1: 1.0, 4: 1.02, 8: 1.03})
    across, inside = (forecast(points, [32], per_node)[0].step_seconds for per_node in (8, 64))
    assert across / inside > 1.05


def test_a_forecast_from_throughputs_is_the_same_as_from_step_times() -> None:
    rates = {1: 100.0, 2: 190.0, 4: 360.0}
    times = [Point(n, 32 * n / rate, 32 * n / (1.1 * rate), 32 * n / (0.9 * rate)) for n, rate in rates.items()]
    given_rates = [point_of_throughput(n, rate, 32 * n, 0.9 * rate, 1.1 * rate) for n, rate in rates.items()]
    assert forecast(given_rates, [8], 8) == forecast(times, [8], 8)


def test_measured_uncertainty_widens_the_band() -> None:
    exact = of({1: 1.0, 2: 1.1, 4: 1.2})
    unsure = [Point(p.workers, p.step_seconds, p.step_seconds / 1.1, p.step_seconds * 1.1) for p in exact]
    assert forecast(unsure, [8], 8)[0].high_80 > forecast(exact, [8], 8)[0].high_80 * 1.02


def width(found: Prediction) -> float:
    return found.high_80 / found.step_seconds


def test_an_unseen_boundary_widens_the_slow_side_and_not_the_fast_one() -> None:
    points = of({1: 1.0, 4: 1.02, 8: 1.03})
    inside, across = forecast(points, [16], 16)[0], forecast(points, [16], 8)[0]
    assert width(across) > 1.2 > width(inside)
    assert across.low_80 > 0.95
    assert width(forecast(points, [16], None)[0]) > 1.2


def warned(points: list[Point], target: int, per_node: int | None = 8, mode: Mode = "weak") -> str:
    return " | ".join(forecast(points, [target], per_node, mode)[0].warnings)


GOOD = {1: 1.0, 4: 1.02, 8: 1.03, 16: 1.05}


@pytest.mark.parametrize(
    ("words", "law", "target", "per_node", "mode"),
    [
        ("measure 16 workers on two nodes", {1: 1.0, 4: 1.02, 8: 1.03}, 16, 8, "weak"),
        ("how many workers share a node is unknown", GOOD, 32, None, "weak"),
        ("beyond 8 times is a guess", GOOD, 256, 8, "weak"),
        ("more workers alone cannot give", GOOD | {8: 0.9}, 32, 8, "weak"),
        ("8 workers are more efficient than 4", GOOD | {8: 0.9}, 32, 8, "weak"),
        ("16 workers train fewer samples per second than 8", GOOD | {16: 2.2}, 32, 8, "weak"),
        ("4 workers train fewer samples per second than 2", {1: 1.0, 2: 0.6, 4: 0.61}, 8, 8, "strong"),
        ("the forecast's models need three measured worker counts, found 2", {1: 1.0, 8: 1.03}, 8, 8, "weak"),
    ],
)
def test_a_doubtful_forecast_has_a_warning_that_says_why(
    words: str, law: dict[int, float], target: int, per_node: int | None, mode: Mode
) -> None:
    assert words in warned(of(law), target, per_node, mode)


def test_a_good_curve_gets_no_warning() -> None:
    assert warned(of(GOOD), 128) == ""


def test_noise_within_the_intervals_is_not_called_non_monotone() -> None:
    noisy = [Point(1, 1.0, 0.95, 1.05), Point(2, 0.97, 0.92, 1.02), Point(4, 1.0, 0.95, 1.05)]
    assert "monotone" not in warned(noisy, 8)
    assert "monotone" in warned([Point(p.workers, p.step_seconds) for p in noisy], 8)


@pytest.mark.parametrize(
    ("points", "target"),
    [([], 8), ([Point(4, 1.0)], 2), ([Point(1, 1.0)] * 2, 8), ([Point(1, 0.0)], 8), ([Point(1, math.inf)], 2)],
)
def test_impossible_points_and_targets_are_refused(points: list[Point], target: int) -> None:
    with pytest.raises(ValueError, match=r"worker|times"):
        forecast(points, [target])
