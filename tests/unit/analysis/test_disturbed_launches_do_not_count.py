"""What others took decides whether a launch counts; its step times do not."""

from typing import Any

import numpy as np
import pytest

from stepmark.analysis.cells import Facts, cell_result
from stepmark.analysis.disturbance import counting, disturbance
from stepmark.analysis.interference import disturbed_because, taken_share
from stepmark.analysis.launch import Launch, reduced
from stepmark.plan.cells import Cell
from stepmark.results.record import (
    Failure,
    Interference,
    LaunchHeader,
    LaunchRecord,
    RankReport,
    StartupSeconds,
    Window,
)

FACTS = Facts(level=0.95, flops_per_sample=None, price_per_worker_hour=None)
QUIET: dict[str, Any] = {"busy_cpu_seconds": 10.0, "own_cpu_seconds": 9.9, "run_delay_seconds": 0.1}
BUSY = QUIET | {"busy_cpu_seconds": 10.0, "own_cpu_seconds": 6.0, "run_delay_seconds": 3.0}
STEPS = [1_000, *[100] * 30]


def seen(**counted: Any) -> Interference:
    return Interference(**({"seconds": 5.0, "cores": 2, "limit_share": 0.05} | counted))


def rank(number: int, found: Interference | None, cpus: tuple[int, ...] = (0, 1), host: str = "h") -> RankReport:
    return RankReport(
        rank=number, host=host, cpus=cpus, peak_memory_bytes=None, first_loss=None, last_loss=None, flags={},
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        windows=(
            Window(kind="warmup", steps=1, host_nanoseconds=STEPS[0]),
            Window(kind="measured", steps=30, host_nanoseconds=sum(STEPS[1:])),
        ),
        compilations_after_warmup=None, compilations_after_window=None, interference=found,
    )  # fmt: skip


def header(*ranks: RankReport, block: int = 0, attempt: int = 0, failure: Failure | None = None) -> LaunchHeader:
    cell = Cell(
        candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=max(len(ranks), 1), processes=max(len(ranks), 1), batch_per_worker=8,
    )  # fmt: skip
    return LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell, block=block, attempt=attempt, position=0, launcher="bare",
        forked=True, started_at="", wall_seconds=1, ranks=ranks, failure=failure,
    )  # fmt: skip


def launch(counted: dict[str, Any], block: int = 0, attempt: int = 0, steps: list[int] = STEPS) -> Launch:
    record = LaunchRecord(header(rank(0, seen(**counted)), block=block, attempt=attempt), np.array([steps]))
    return reduced(record, None)


def test_a_launch_is_disturbed_where_others_took_more_than_the_declared_share() -> None:
    assert disturbed_because(header(rank(0, seen(**BUSY)))) == (
        "others took 30.0% of the cores of rank 0 (maxTakenShare 5.0%)"
    )
    assert disturbed_because(header(rank(0, seen(**BUSY | {"limit_share": 0.5})))) is None
    assert disturbed_because(header(rank(0, seen(**QUIET)))) is None


@pytest.mark.parametrize("harmless", [{"run_delay_seconds": 0.0}, {"own_cpu_seconds": 10.0}])
def test_a_launch_is_not_disturbed_where_its_rank_did_not_wait_or_waited_for_itself(harmless: dict[str, float]) -> None:
    assert disturbed_because(header(rank(0, seen(**BUSY | harmless)))) is None


@pytest.mark.parametrize("name", ["steal_seconds", "throttled_seconds"])
def test_time_that_the_hypervisor_or_the_cgroup_took_counts_in_full(name: str) -> None:
    assert "others took 11.0%" in (disturbed_because(header(rank(0, seen(**QUIET | {name: 1.0})))) or "")


def test_the_rank_from_which_others_took_the_most_is_named() -> None:
    ranks = [rank(0, seen(**BUSY | {"run_delay_seconds": 1.0})), rank(1, seen(**BUSY), cpus=(2, 3)), rank(2, None)]
    assert "rank 1" in (disturbed_because(header(*ranks)) or "")
    assert taken_share(header(*ranks)) == pytest.approx(0.3)


def test_ranks_of_the_same_launch_on_the_same_core_do_not_count_as_others() -> None:
    half = seen(cores=1, busy_cpu_seconds=5.0, own_cpu_seconds=2.5, run_delay_seconds=2.5)
    together = [rank(0, half, cpus=(0,)), rank(1, half, cpus=(0,))]
    apart = [rank(0, half, cpus=(0,)), rank(1, half, cpus=(0,), host="elsewhere")]
    assert disturbed_because(header(*together)) is None
    assert disturbed_because(header(*apart)) is not None


def test_a_few_ticks_of_the_counters_in_a_short_window_do_not_disturb_a_launch() -> None:
    short = seen(seconds=0.08, cores=1, busy_cpu_seconds=0.08, own_cpu_seconds=0.04, run_delay_seconds=0.04)
    assert disturbed_because(header(rank(0, short))) is None


@pytest.mark.parametrize("found", [None, seen(), seen(own_cpu_seconds=1.0, run_delay_seconds=3.0)])
def test_an_unknown_share_disturbs_no_launch_and_is_not_zero(found: Interference | None) -> None:
    assert disturbed_because(header(rank(0, found))) is None
    assert taken_share(header(rank(0, found))) is None


def test_a_stop_of_two_seconds_disturbs_a_launch_whatever_else_is_known() -> None:
    assert disturbed_because(header(rank(0, seen(stopped_seconds=2.0)))) == "rank 0 was stopped for 2.0 s"
    assert disturbed_because(header(rank(0, seen(stopped_seconds=1.9)))) is None


def test_a_disturbed_launch_has_no_figures_and_no_failure_even_where_its_numbers_contradict_each_other() -> None:
    found = launch(BUSY, steps=[1_000, *[2_000_000] * 30])
    assert (found.figures, found.why_bad) == (None, None)
    assert found.disturbed


def test_the_last_undisturbed_launch_of_a_block_counts() -> None:
    again = [launch(BUSY, block=0), launch(QUIET, block=0, attempt=1)]
    superseded = [launch(QUIET, block=1), launch(QUIET, block=1, attempt=1)]
    in_vain = [launch(QUIET, block=2), launch(BUSY, block=2, attempt=1), launch(BUSY, block=3)]
    counted = counting([*again, *superseded, *in_vain])
    assert [(one.block, one.attempt) for one in counted] == [(0, 1), (1, 1), (2, 0)]


def test_a_launch_that_failed_when_it_was_made_again_has_failed() -> None:
    failed = reduced(LaunchRecord(header(attempt=1, failure=Failure(rank=0, cause="oh")), np.zeros((0, 0))), None)  # type: ignore[arg-type]
    assert [one.why_bad for one in counting([launch(BUSY), failed])] == ["failed: rank 0: oh"]


def test_a_cell_says_what_others_took_from_it_and_how_many_launches_do_not_count() -> None:
    result = cell_result(
        header(rank(0, None)).cell, [launch(BUSY), launch(QUIET, attempt=1), launch(QUIET, 1)], None, FACTS
    )
    found = result.disturbance
    assert (result.launches, result.launches_failed) == (2, 0)
    assert (found.launches_made, found.launches_disturbed, found.launches_made_again) == (3, 1, 1)
    assert (found.taken_share_median, found.taken_share_worst) == pytest.approx((0.01, 0.3))
    assert "1 of 3 launches was disturbed and does not count: others took 30.0%" in result.reason


def test_a_cell_whose_every_launch_was_disturbed_is_not_measured() -> None:
    result = cell_result(header(rank(0, None)).cell, [launch(BUSY), launch(BUSY, 1)], None, FACTS)
    assert result.state.startswith("not measured: 2 of 2 launches were disturbed")
    assert result.step_seconds is None


def test_the_shares_that_others_took_are_unknown_without_counters() -> None:
    assert disturbance([launch({})]).taken_share_worst is None


@pytest.mark.parametrize(("longest_ms", "said"), [(1_500, True), (900, False)])
def test_a_step_that_took_far_longer_than_the_others_is_named_in_the_reason(longest_ms: int, said: bool) -> None:
    ms = 1_000_000
    steps = [5_000 * ms, *[10 * ms] * 29, longest_ms * ms]
    windows = (
        Window(kind="warmup", steps=1, host_nanoseconds=steps[0]),
        Window(kind="measured", steps=30, host_nanoseconds=sum(steps[1:])),
    )
    record = LaunchRecord(header(rank(0, None).model_copy(update={"windows": windows}), block=3), np.array([steps]))
    result = cell_result(record.header.cell, [reduced(record, None)], None, FACTS)
    assert ("step 30 of rank 0 in block 3 took 1.50 s, 150 times the median" in result.reason) == said
