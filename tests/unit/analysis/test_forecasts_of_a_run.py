"""Every curve of a run is forecast from its own points, with warnings of what speaks against it."""

import pytest
from gate_sides import cell

from stepmark.analysis.cells import CellResult
from stepmark.analysis.forecast import Point, forecast
from stepmark.analysis.forecasts import forecasts
from stepmark.analysis.scaling import Mode
from stepmark.analysis.summary import Summary
from stepmark.errors import CannotRun


def at(workers: int, seconds: float | None, name: str = "a", batch: int = 8, **changes: object) -> CellResult:
    medians = [] if seconds is None else [seconds, seconds]
    known = {"workers": workers, "candidate": name, "batch_per_worker": batch, "global_batch": batch * workers}
    return cell(f"{name}.w{workers}", medians, **known | changes)


def run(*cells: CellResult, mode: Mode = "weak") -> Summary:
    return Summary.model_construct(scenario="test", cells=cells, mode=mode)  # type: ignore[call-arg]


def test_weak_scaling_keeps_the_batch_per_worker() -> None:
    curve = forecasts(run(at(1, 0.010), at(2, 0.011), at(4, 0.012)), [16], 2).curves[0]
    one = curve.predicted[0]
    known = forecast([Point(1, 0.010), Point(2, 0.011), Point(4, 0.012)], [16], 2)[0]
    assert one.prediction.step_seconds == pytest.approx(known.step_seconds)
    assert one.global_batch == 128
    assert one.samples_per_second == pytest.approx(128 / known.step_seconds)
    assert one.low_80 < one.samples_per_second < one.high_80
    assert [point.efficiency for point in curve.measured] == pytest.approx([1, 10 / 11, 10 / 12])


def test_strong_scaling_keeps_the_global_batch() -> None:
    cells = (at(1, 0.010, batch=16), at(2, 0.006, batch=8), at(4, 0.004, batch=4))
    curve = forecasts(run(*cells, mode="strong"), [8, 12], 2).curves[0]
    assert [one.global_batch for one in curve.predicted] == [16, 16]
    assert curve.measured[-1].efficiency == pytest.approx(10 / 16)
    assert not [w for w in curve.predicted[0].warnings if "cut into" in w]
    assert "a global batch of 16 cannot be cut into 12 equal parts" in curve.predicted[1].warnings[0]


def test_the_report_says_how_far_to_trust_each_kind_of_forecast_in_it() -> None:
    trust = forecasts(run(at(1, 0.010), at(2, 0.011)), [2, 16], 2).trust
    assert [line.partition(",")[0] for line in trust] == [
        "how far to trust a forecast inside one node", "how far to trust a forecast between nodes",
    ]  # fmt: skip


def test_each_curve_is_forecast_from_its_own_points() -> None:
    cells = (at(1, 0.01), at(2, 0.01), at(1, 0.03, "b"), at(2, 0.03, "b"), at(1, 0.05, precision="bfloat16"))
    report = forecasts(run(*cells), [4])
    assert [(curve.candidate, curve.precision) for curve in report.curves] == [
        ("a", "float32"), ("b", "float32"), ("a", "bfloat16"),
    ]  # fmt: skip
    seconds = [curve.predicted[0].prediction.step_seconds for curve in report.curves]
    assert seconds[0] < seconds[1] < seconds[2]


def test_a_curve_that_failed_is_left_out_with_the_reason() -> None:
    report = forecasts(run(at(1, 0.01), at(1, None, "b"), at(2, None, "b")), [4])
    assert [curve.candidate for curve in report.curves] == ["a"]
    assert "failed: 2 of 2 launches failed: rank 0: out of memory" in report.left_out[0].reason


def test_a_failed_or_drifting_point_is_warned_of_at_every_target() -> None:
    drifting = at(2, 0.011, verdict="drifting", reason="+3 %")
    report = forecasts(run(at(1, 0.01), drifting, at(4, None)), [8, 16])
    for one in report.curves[0].predicted:
        assert any(warning.startswith("4 workers left out, failed") for warning in one.warnings)
        assert "2 workers: drifting: +3 %" in one.warnings
        assert any("how many workers share a node is unknown" in warning for warning in one.warnings)


def test_a_target_below_one_curves_points_leaves_out_that_curve_only() -> None:
    report = forecasts(run(at(1, 0.01), at(4, 0.01, "b")), [2])
    assert [curve.candidate for curve in report.curves] == ["a"]
    assert "targets of at least 4 workers, the smallest measured, found 2" in report.left_out[0].reason


def test_a_target_below_every_curve_and_a_run_without_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, the smallest measured"):
        forecasts(run(at(2, 0.01)), [1])
    with pytest.raises(CannotRun, match="found none"):
        forecasts(run(at(1, None)), [2])
