"""Time to an accuracy is found from known learning curves, compared within blocks, and explained by certificates."""

from collections.abc import Sequence
from typing import Any

import pytest

from conftest import scenario_document
from stepmark.analysis.learning import LearningComparison, LearningSummary, learning_summary
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.report.learning import sentences
from stepmark.results.certificate import Certificate
from stepmark.results.learning import Evaluation, LearningRecord, LearningRecords, LearningReport
from stepmark.results.record import Failure, Interference
from stepmark.scenario.load import scenario_from_object
from unit.report.example_summary import example

LABELS = 1000
DOCUMENT = scenario_document(
    workload={"model": "mlp"},
    candidates=[{"name": name, "engine": "torch"} for name in ("base", "other")],
    data={"source": "digits"},
    target={"accuracy": 0.9, "evaluateEverySteps": 10, "maxSteps": 50},
    parity="required",
)
SCENARIO = scenario_from_object(DOCUMENT)
BASE, OTHER = make_plan(SCENARIO, Machine(places=1, programs=())).cells
PLACE: dict[str, Any] = {"position": 0, "started_at": "2026-12-01T10:00:00+00:00", "wall_seconds": 9.0}
NOISE = (0, 1, -1, 2, -2, 0, 1)
CURVE = (0.5, 0.8, 0.91, 0.94, 0.96)


def report(
    curve: Sequence[float], rank: int = 0, milliseconds: float = 10.0, joules: float | None = None, began: str = "0"
) -> LearningReport:
    evaluations = tuple(
        Evaluation(
            steps=10 * (index + 1), nanoseconds=round(milliseconds * 1e6), joules=joules, correct=round(value * LABELS)
        )
        for index, value in enumerate(curve)
    )
    digests: dict[str, Any] = dict.fromkeys(("data_digest", "order_digest", "weights_digest"), began * 64)
    counts: dict[str, Any] = {"train_samples": 80, "test_samples": LABELS, "test_labels": LABELS}
    known: dict[str, Any] = {"rank": rank, "seed": 1, "learning_rate": 0.5, "flags": {}, **digests, **counts}
    return LearningReport(evaluations=evaluations, **known)


def record(cell: str, block: int, *ranks: LearningReport) -> LearningRecord:
    return LearningRecord(cell=cell, block=block, ranks=ranks, **PLACE)


def certificate(cell: str, text: str = "certified", badge: Any = "certified") -> Certificate:
    stages = example().certificates[0].stages
    return Certificate(cell=cell, reference=BASE.key, badge=badge, text=text, stages=stages)


CERTIFIED = (certificate(BASE.key), certificate(OTHER.key))


def summary(*launches: LearningRecord, certificates: tuple[Certificate, ...] = CERTIFIED) -> LearningSummary:
    known: dict[str, Any] = {
        "cells": (BASE, OTHER),
        "launches": launches,
        "certificates": certificates,
        "scenario_digest": SCENARIO.digest(),
        "stepmark_version": "1",
        "environment": example().environment,
    }
    return learning_summary(SCENARIO, LearningRecords.model_construct(**known))


def compared(found: LearningSummary, figure: str) -> LearningComparison:
    [one] = [one for one in found.comparisons if one.figure == figure]
    return one


def blocks(curve: Sequence[float], count: int = 7, **known: Any) -> list[LearningRecord]:
    """Return launches of both cells: the base with CURVE, the other with this one, each a little off in every block."""
    made = []
    for block, off in enumerate(NOISE[:count]):
        made.append(record(BASE.key, block, report([value + off / 1000 for value in CURVE])))
        made.append(record(OTHER.key, block, report([value + off / 2000 for value in curve], **known)))
    return made


def test_the_first_evaluation_at_the_target_counts_and_a_window_lasts_as_long_as_on_its_slowest_rank() -> None:
    ranks = report(CURVE, milliseconds=10, joules=2.0), report(CURVE, rank=1, milliseconds=15, joules=3.0)
    result = summary(record(BASE.key, 0, *ranks), record(BASE.key, 1, *ranks)).results[0]
    assert (result.state, result.reached, result.launches) == ("reached", 2, 2)
    found = [result.steps, result.seconds, result.joules, result.accuracy]
    assert [round(one.value, 9) for one in found if one is not None] == [30, 0.045, 15, 0.96]


def test_joules_are_absent_where_no_counter_was_read() -> None:
    found = summary(*blocks(CURVE))
    assert [one.joules for one in found.results] == [None, None]
    assert {one.figure for one in found.comparisons} == {"steps", "seconds", "accuracy"}


def test_a_launch_that_never_reaches_the_target_leaves_the_cell_without_a_time_and_is_counted() -> None:
    late = (0.5, 0.6, 0.7, 0.8, 0.89)
    found = summary(*blocks(CURVE)[:-1], record(OTHER.key, 6, report(late)))
    other = found.results[1]
    assert (other.state, other.reached, other.launches, other.steps, other.seconds) == ("not reached", 6, 7, None, None)
    assert compared(found, "steps").verdict == compared(found, "seconds").verdict == "inconclusive"
    assert f"{OTHER.key} reached the target in 6 of 7 launches" in compared(found, "steps").reason
    assert any("is not reached in 1 of 7 launches" in line for line in sentences(found))


def test_seconds_of_a_disturbed_launch_count_nowhere_and_its_steps_do() -> None:
    taken = Interference(
        seconds=1.0, cores=1, limit_share=0.2, busy_cpu_seconds=1.0, own_cpu_seconds=0.4, run_delay_seconds=0.6
    )
    slow = report(CURVE, milliseconds=80.0).model_copy(update={"cpus": (0,), "interference": taken})
    found = summary(*blocks(CURVE)[:-1], record(OTHER.key, 6, slow))
    other = found.results[1]
    assert (other.launches, other.disturbed, compared(found, "steps").blocks) == (7, 1, 7)
    assert other.seconds is not None
    assert other.seconds.value == pytest.approx(0.03)
    assert compared(found, "seconds").blocks == 6
    assert any(line.startswith("1 of 14 launches were disturbed") for line in sentences(found))


def test_a_cell_that_takes_twice_the_seconds_in_equally_many_steps_is_slower_and_needs_no_more_steps() -> None:
    found = summary(*blocks(CURVE, milliseconds=20.0))
    seconds = compared(found, "seconds")
    assert (compared(found, "steps").verdict, seconds.verdict) == ("no measurable difference", "slower")
    assert seconds.ratio is not None
    assert seconds.ratio.value == pytest.approx(2.0)
    assert compared(found, "accuracy").verdict == "no measurable difference"
    assert not any("accuracy differs" in line for line in sentences(found))


def test_more_steps_are_claimed_from_five_blocks_on() -> None:
    slower = (0.3, 0.5, 0.7, 0.8, 0.96)
    assert compared(summary(*blocks(slower, count=4)), "steps").verdict == "inconclusive"
    one = compared(summary(*blocks(slower)), "steps")
    assert (one.verdict, one.blocks) == ("more", 7)
    assert one.ratio is not None
    assert one.ratio.value == pytest.approx(5 / 3)


def test_a_difference_in_accuracy_is_said_with_what_parity_found() -> None:
    refused = certificate(OTHER.key, "not comparable: forward off by 4.0e-01 (limit 1e-05)", "not comparable")
    found = summary(*blocks((0.5, 0.6, 0.7, 0.8, 0.905)), certificates=(CERTIFIED[0], refused))
    assert compared(found, "accuracy").verdict == "lower"
    first = next(sentences(found))
    assert first.startswith(f"accuracy differs: {OTHER.key} ends at 0.905")
    assert "forward off by 4.0e-01" in first
    assert "parity is required and not proven" in compared(found, "seconds").reason


def test_a_difference_in_accuracy_between_certified_cells_is_not_put_down_to_the_step() -> None:
    found = summary(*blocks((0.5, 0.8, 0.91, 0.92, 0.93)))
    assert "parity is certified, and its largest error is" in next(sentences(found))


def test_cells_that_began_from_other_weights_or_samples_are_not_compared() -> None:
    found = summary(*blocks(CURVE, milliseconds=20.0, began="1"))
    assert {one.verdict for one in found.comparisons} == {"inconclusive"}
    assert all("in 7 blocks the two began from other weights" in one.reason for one in found.comparisons)


def test_a_failed_launch_is_no_figure_and_its_cause_is_said() -> None:
    failed = LearningRecord(cell=BASE.key, block=0, failure=Failure(rank=0, cause="no memory"), **PLACE)
    some, none = summary(failed, record(BASE.key, 1, report(CURVE))).results
    assert (some.state, some.launches, some.problem) == ("failed", 1, "no memory")
    assert (none.state, none.launches, none.accuracy) == ("failed", 0, None)
