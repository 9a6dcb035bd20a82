"""Bandwidths follow from the time of a step by nccl-tests' formulas, and reports show them by size."""

import numpy as np
import pytest

from stepmark.analysis.bandwidth import bandwidth_of
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.link_limits import LinkLimit
from stepmark.analysis.step_times import StepSeconds
from stepmark.plan.cells import Cell
from stepmark.report import collectives, ranking
from stepmark.report.html import render as html
from stepmark.report.markdown import render as markdown
from stepmark.report.notes import notes
from stepmark.scenario.model import WorkloadChoice
from unit.report.example_summary import example

MEAN = Estimate(value=0.004, low=0.002, high=0.008)
STEP = StepSeconds(
    median=0.003, low=0.002, high=0.004, mean=MEAN, p5=None, p95=None, p99=None, percentiles=None,
    launch_medians=(), launch_means=(), median_after_first=None,
)  # fmt: skip
CELL = Cell(
    candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
    precision="float32", workers=4, processes=4, batch_per_worker=1, message_bytes=1 << 20,
)  # fmt: skip


def choice(collective: str) -> WorkloadChoice:
    return WorkloadChoice(model="collective", params={"collective": collective})


@pytest.mark.parametrize(("collective", "factor"), [("all-reduce", 1.5), ("all-gather", 0.75), ("broadcast", 1.0)])
def test_bandwidths_are_size_over_mean_time_with_its_interval(collective: str, factor: float) -> None:
    found = bandwidth_of(choice(collective), CELL, STEP)
    assert found is not None
    assert found.latency_seconds == MEAN
    rate = found.algorithm_bytes_per_second
    assert (rate.value, rate.low, rate.high) == pytest.approx(((1 << 20) / 0.004, (1 << 20) / 0.008, (1 << 20) / 0.002))
    assert found.bus_bytes_per_second.value == pytest.approx(rate.value * factor)
    assert found.bus_bytes_per_second.low == pytest.approx(rate.low * factor)  # type: ignore[operator]


def test_a_model_has_no_bandwidth_and_neither_has_a_cell_that_was_not_measured() -> None:
    plain = CELL.model_copy(update={"message_bytes": None})
    assert bandwidth_of(WorkloadChoice(model="mlp"), plain, STEP) is None
    assert bandwidth_of(choice("all-reduce"), CELL, None) is None


def test_reports_have_a_row_and_a_point_of_the_curve_for_each_size() -> None:
    summary = example()
    cells = []
    for index, cell in enumerate(summary.cells[:3]):
        size = 1024 << (10 * index)
        found = bandwidth_of(choice("all-reduce"), CELL.model_copy(update={"message_bytes": size}), STEP)
        update = {"bandwidth": found, "message_bytes": size, "workers": 2, "candidate": "torch", "execution": "eager"}
        cells.append(cell.model_copy(update=update))
    summary = summary.model_copy(update={"cells": tuple(cells)})
    assert ranking.fastest(summary) == []  # Samples per second of collectives say nothing.
    assert [row[3] for row in collectives.rows(summary)] == ["1KiB", "1MiB", "1GiB"]
    assert "4,000 [2,000, 8,000]" in markdown(summary)
    [panel] = collectives.panels(summary, {"torch": 0})
    [curve] = panel.curves
    assert [point.message_bytes for point in curve.points] == [1 << 10, 1 << 20, 1 << 30]
    assert np.all([text in html(summary) for text in ("bus bandwidth, GB/s", "latency, µs", "1GiB")])


def test_reports_say_what_share_of_the_links_the_largest_message_reaches() -> None:
    summary, limit = example(), LinkLimit(name="NVLink 4, 18 links", bytes_per_second=450e9)
    cells = []
    for index, cell in enumerate(summary.cells[:2]):
        size = (1 << 30) << index
        found = bandwidth_of(choice("broadcast"), CELL.model_copy(update={"message_bytes": size}), STEP, limit)
        update = {"bandwidth": found, "message_bytes": size, "workers": 2, "candidate": "torch", "execution": "eager"}
        cells.append(cell.model_copy(update=update))
    known = summary.model_copy(update={"cells": tuple(cells)})
    [line] = collectives.limits(known)
    assert line.startswith("torch eager")
    assert line.endswith("2GiB, 2 workers: 119.3% [59.7%, 238.6%] of NVLink 4, 18 links: 450 GB/s")
    assert all("NVLink 4, 18 links: 450 GB/s" in text for text in (markdown(known), html(known)))
    assert f"Bus bandwidth of {line}." in notes(known)
    plain = bandwidth_of(choice("broadcast"), CELL, STEP)
    unknown = [cell.model_copy(update={"bandwidth": plain}) for cell in cells]
    assert collectives.LIMITS in markdown(known)
    assert collectives.LIMITS not in markdown(summary.model_copy(update={"cells": tuple(unknown)}))


def test_a_report_of_models_says_nothing_of_collectives() -> None:
    assert "Collectives" not in markdown(example())
    assert 'id="collectives"' not in html(example())
