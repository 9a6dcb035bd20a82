"""Seconds to the first step leave out stepmark's own imports, are the slowest rank's, and are compared in blocks."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark.analysis.starts import StartSummary, start_summary
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.results.record import Failure
from stepmark.results.starts import StartRecord, StartReport, Starts
from stepmark.scenario.load import scenario_from_object
from stepmark.terms import StartKind

SCENARIO = scenario_from_object(
    scenario_document(
        candidates=[{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("base", "other")]
    )
)
BASE, OTHER = make_plan(SCENARIO, Machine(places=1, programs=())).cells
PLACE: dict[str, Any] = {"position": 0, "started_at": "", "wall_seconds": 9.0}
TAKES: dict[StartKind, float] = {"cold": 4.0, "warm": 2.0}
NOISE = (1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01)


def report(first_step: float, rank: int = 0) -> StartReport:
    parts = {"interpreter": 0.1, "own_imports": 7.0, "imports": 1.0, "build": 0.4, "first_step": first_step}
    known: dict[str, Any] = {"rank": rank, "compilations": None, "flags": {}}
    return StartReport(**parts, **known)


def record(cell: str, block: int, seconds: float, kind: StartKind = "cold") -> StartRecord:
    ranks = (report(seconds - 1.5), report(0.1, rank=1))
    return StartRecord(cell=cell, kind=kind, block=block, ranks=ranks, **PLACE)


def summary(*records: StartRecord) -> StartSummary:
    known: dict[str, Any] = {"cells": (BASE, OTHER), "starts": records}
    return start_summary(SCENARIO, Starts.model_construct(**known))


def test_stepmarks_own_imports_are_left_out_and_the_slowest_rank_counts() -> None:
    [one] = summary(record(BASE.key, 0, 2.5), record(BASE.key, 1, 2.5)).results
    assert one.seconds is not None
    assert one.seconds.value == pytest.approx(2.5)
    assert (one.interpreter, one.imports, one.build) == (0.1, 1.0, 0.4)
    assert one.first_step == pytest.approx(1.0)
    assert one.own_imports == 7.0


def test_a_warm_start_is_compared_with_the_cold_one_of_its_block() -> None:
    records = [
        record(BASE.key, block, seconds * factor, kind)
        for block, factor in enumerate((1.0, 5.0, 3.0))
        for kind, seconds in TAKES.items()
    ]
    warm = summary(*records).results[1]
    assert warm.of_cold is not None
    assert (warm.of_cold.low, warm.of_cold.high) == (pytest.approx(0.5), pytest.approx(0.5))


@pytest.mark.parametrize(("blocks", "verdict"), [(4, "inconclusive"), (7, "slower")])
def test_a_difference_is_claimed_from_five_blocks_on(blocks: int, verdict: str) -> None:
    noise = list(enumerate(NOISE[:blocks]))
    records = [record(BASE.key, block, 3.0) for block, _ in noise]
    records += [record(OTHER.key, block, 4.5 * factor) for block, factor in noise]
    [one] = summary(*records).comparisons
    assert (one.cell, one.reference, one.kind, one.blocks) == (OTHER.key, BASE.key, "cold", blocks)
    assert one.verdict == verdict
    assert one.ratio is not None
    assert one.ratio.value == pytest.approx(1.5, rel=0.01)
    assert one.ratio.excludes(1.4)
    assert not one.ratio.excludes(1.5)


def test_starts_at_two_levels_give_no_claim_that_the_sign_test_does_not_allow() -> None:
    levels = (1.5, 1.5001, 1.4999, 3.0, 3.0001)
    records = [record(BASE.key, block, 3.0) for block in range(5)]
    records += [record(OTHER.key, block, 3.0 * level) for block, level in enumerate(levels)]
    [one] = summary(*records).comparisons
    assert one.verdict == "inconclusive"
    assert "two levels" in one.reason


def test_a_failed_start_is_no_figure_and_its_cause_is_kept() -> None:
    failed = StartRecord(cell=BASE.key, kind="cold", block=0, failure=Failure(rank=0, cause="no memory"), **PLACE)
    [one] = summary(failed, record(BASE.key, 1, 2.0)).results
    assert (one.starts, one.problem) == (1, "no memory")
    [none] = summary(failed).results
    assert (none.starts, none.seconds, none.first_step) == (0, None, None)
