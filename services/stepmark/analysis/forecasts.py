"""Forecast every curve of a run: one for each candidate, execution and precision, over its worker counts."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from stepmark.analysis import trust
from stepmark.analysis.alike import Text
from stepmark.analysis.cells import CellResult
from stepmark.analysis.forecast import Point, Prediction, forecast
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.scaling import Mode
from stepmark.analysis.summary import Summary
from stepmark.errors import CannotRun

Level = Literal[80, 95]


class ForecastModel(BaseModel):
    """Serve as the base of the models of a forecast report: frozen, no extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasuredPoint(ForecastModel):
    """Store a measured cell that the forecast is based on.

    `step_seconds` has its 95 % interval. `efficiency` is the per-worker speed relative to the smallest measured worker
    count, as in `Prediction`.
    """

    workers: int
    global_batch: int
    step_seconds: Estimate
    samples_per_second: float
    efficiency: float


class Predicted(ForecastModel):
    """Store the forecast at one worker count.

    `samples_per_second` is global batch / step time. Its bands are those of the step time, inverted: `low_80` to
    `high_80` samples per second, and likewise at 95 %. `warnings` are those of the prediction, of the batch and of the
    measured cells.
    """

    prediction: Prediction
    global_batch: int
    samples_per_second: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    warnings: tuple[Text, ...]


class CurveForecast(ForecastModel):
    """Store the forecast of one curve.

    `execution` is what the scenario's `levels` resolved to. `batch_per_worker` is None where the run has one batch.
    """

    candidate: Text
    execution: str
    levels: tuple[str, ...]
    precision: str
    batch_per_worker: int | None = None
    measured: tuple[MeasuredPoint, ...]
    predicted: tuple[Predicted, ...]


class LeftOut(ForecastModel):
    """Store a curve that has no forecast, with the reason."""

    candidate: Text
    execution: str
    precision: str
    batch_per_worker: int | None = None
    reason: Text


class ForecastReport(ForecastModel):
    """Store the forecasts of all curves of a run: what `stepmark forecast --json` prints.

    With `mode` weak the batch per worker is constant, with strong the global batch. `workers_per_node` None means not
    known. `trust` says how far to trust the forecasts, in a sentence for each kind of forecast in the report.

    Schema history
        1  first version
        2  trust is several sentences
    """

    schema_version: Literal[2] = 2
    scenario: Text
    mode: Mode
    workers_per_node: int | None
    trust: tuple[Text, ...]
    curves: tuple[CurveForecast, ...]
    left_out: tuple[LeftOut, ...]


def forecasts(summary: Summary, targets: Sequence[int], workers_per_node: int | None = None) -> ForecastReport:
    """Forecast every curve at these worker counts.

    Raises:
        CannotRun: no cell was measured.
        ValueError: a target lies below every measured worker count.
    """
    measured = [cell for cell in summary.cells if cell.step_seconds is not None]
    if not measured:
        raise CannotRun(
            f"scenario {summary.scenario}: expected measured cells to forecast from, found none. Run it first."
        )
    smallest = min(cell.workers for cell in measured)
    if min(targets) < smallest:
        raise ValueError(f"worker counts of at least {smallest}, the smallest measured one")
    curves: list[CurveForecast] = []
    left_out: list[LeftOut] = []
    for cells in _curves(summary.cells):
        name = dict(zip(("candidate", "execution", "precision", "batch_per_worker"), _curve_of(cells[0]), strict=True))
        try:
            curves.append(_forecast(cells, targets, workers_per_node, summary.mode))
        except ValueError as why:
            left_out.append(LeftOut.model_validate(name | {"reason": str(why)}))
    return ForecastReport(
        scenario=summary.scenario,
        mode=summary.mode,
        workers_per_node=workers_per_node,
        trust=trust.sentences((one.prediction.boundary, summary.mode) for c in curves for one in c.predicted),
        curves=tuple(curves),
        left_out=tuple(left_out),
    )


def _curves(cells: Sequence[CellResult]) -> Iterator[list[CellResult]]:
    """Yield each curve's cells, which differ in nothing but their workers, by worker count."""
    for name in dict.fromkeys(map(_curve_of, cells)):
        of_curve = [cell for cell in cells if _curve_of(cell) == name]
        yield sorted(of_curve, key=lambda cell: cell.workers)


def _curve_of(cell: CellResult) -> tuple[str, str, str, int | None]:
    batch = cell.batch_per_worker if cell.several_batches else None
    return cell.candidate, cell.execution, cell.precision, batch


def _forecast(
    cells: Sequence[CellResult], targets: Sequence[int], workers_per_node: int | None, mode: Mode
) -> CurveForecast:
    """Forecast one curve. ValueError with the reason is raised where there is no forecast."""
    good = [cell for cell in cells if cell.step_seconds is not None]
    if not good:
        raise ValueError("; ".join(dict.fromkeys(cell.state for cell in cells)))
    points = [_point(cell) for cell in good]
    beside = tuple(_doubts(cells))
    found = forecast(points, targets, workers_per_node, mode)
    first = good[0]
    return CurveForecast(
        candidate=first.candidate,
        execution=first.execution,
        levels=first.levels,
        precision=first.precision,
        batch_per_worker=first.batch_per_worker if first.several_batches else None,
        measured=tuple(_measured(cell, first, mode) for cell in good),
        predicted=tuple(_predicted(one, first, mode, beside) for one in found),
    )


def _point(cell: CellResult) -> Point:
    assert cell.step_seconds is not None
    return Point(cell.workers, cell.step_seconds.median, cell.step_seconds.low, cell.step_seconds.high)


def _doubts(cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield what the forecast does not know about its own points."""
    for cell in cells:
        if cell.step_seconds is None:
            yield f"{cell.workers} workers left out, {cell.state}"
        elif cell.verdict not in ("steady", "undecided"):
            yield f"{cell.workers} workers: {cell.state}"


def _measured(cell: CellResult, first: CellResult, mode: Mode) -> MeasuredPoint:
    step, base = cell.step_seconds, first.step_seconds
    assert step is not None
    assert base is not None
    growth = cell.workers / first.workers if mode == "strong" else 1.0
    return MeasuredPoint(
        workers=cell.workers,
        global_batch=cell.global_batch,
        step_seconds=step.estimate,
        samples_per_second=cell.global_batch / step.median,
        efficiency=base.median / (step.median * growth),
    )


def _predicted(one: Prediction, first: CellResult, mode: Mode, beside: tuple[str, ...]) -> Predicted:
    batch = first.global_batch if mode == "strong" else first.batch_per_worker * one.workers
    uneven: tuple[str, ...] = ()
    if batch % one.workers:
        uneven = (f"a global batch of {batch} cannot be cut into {one.workers} equal parts: no such run is possible",)
    return Predicted(
        prediction=one,
        global_batch=batch,
        samples_per_second=batch / one.step_seconds,
        low_80=batch / one.high_80,
        high_80=batch / one.low_80,
        low_95=batch / one.high_95,
        high_95=batch / one.low_95,
        warnings=(*uneven, *one.warnings, *beside),
    )
