import io

from rich.console import Console

from stepmark.analysis.forecast import Prediction
from stepmark.analysis.forecasts import CurveForecast, ForecastReport, LeftOut, MeasuredPoint, Predicted
from stepmark.analysis.intervals import Estimate
from stepmark.report import forecast


def predicted(workers: int, *warnings: str) -> Predicted:
    one = Prediction(
        workers=workers, step_seconds=0.01, low_80=0.009, high_80=0.011, low_95=0.008, high_95=0.012, efficiency=0.9,
        ratio=2, boundary="seen", warnings=warnings,
    )  # fmt: skip
    rates = {"low_80": 1, "high_80": 3, "low_95": 1, "high_95": 4}
    return Predicted(prediction=one, global_batch=8, samples_per_second=2, warnings=warnings, **rates)


def shown() -> str:
    point = MeasuredPoint(
        workers=1, global_batch=8, step_seconds=Estimate(value=0.01, low=None, high=None), samples_per_second=2,
        efficiency=1,
    )  # fmt: skip
    curve = CurveForecast(
        candidate="[bold]a[/]\x1b[31m", execution="eager", levels=("default",), precision="float32", measured=(point,),
        predicted=(predicted(2, "of all"), predicted(4, "of all", "of one")),
    )  # fmt: skip
    left = LeftOut(candidate="b", execution="eager", precision="float32", reason="failed: killed")
    report = ForecastReport(
        scenario="s",
        mode="weak",
        workers_per_node=None,
        trust=("how far to trust a forecast",),
        curves=(curve,),
        left_out=(left,),
    )
    console = Console(file=io.StringIO(), width=400)
    forecast.show(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_forecast_is_shown_with_its_warnings_its_trust_and_the_curves_left_out() -> None:
    text = shown()
    assert text.count("warning: of all") == 1
    assert "warning: at 4: of one" in text
    assert "no forecast: b eager float32: failed: killed" in text
    assert "how far to trust a forecast" in text
    assert "[8.00, 12.00]" in text


def test_markup_in_a_name_is_shown_as_text_and_an_unknown_interval_as_a_dash() -> None:
    text = shown()
    assert "[bold]a[/]" in text
    assert "\x1b" not in text
    assert "–" in next(line for line in text.splitlines() if "measured" in line)
