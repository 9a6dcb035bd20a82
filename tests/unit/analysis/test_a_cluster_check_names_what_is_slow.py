"""Simulated checks of clusters, as whole records: each launch has processes of its own speed, and steps have jitter."""

from collections.abc import Mapping

import numpy as np
import pytest

from stepmark.analysis.cluster_check import ClusterCheck, cluster_check
from stepmark.analysis.link_limits import LinkLimit
from stepmark.plan.cells import Cell
from stepmark.report.cluster_check import lines
from stepmark.results.device import DeviceFacts
from stepmark.results.record import NO_STEPS, Failure, LaunchHeader, LaunchRecord, RankReport, StartupSeconds, Window
from stepmark.workloads._tasks import Task, rounds_of, tasks_of

SECONDS = {"barrier": 0.0001, "product": 0.010, "copy": 0.004, "all-reduce": 0.003, "pairs": 0.002}
ROUNDS, LAUNCHES = 24, 9
PROCESSES, JITTER = 0.005, 0.02  # standard deviations of logarithms: between launches, and between steps
Slow = Mapping[tuple[str, int], float]


def check(seed: int, ranks: int = 4, slow: Slow | None = None, link: tuple[int, int] | None = None) -> ClusterCheck:
    """Return the verdict of a simulated check. `slow` holds factors by kind and rank; `link` is 5 % slower."""
    rng = np.random.default_rng(seed)
    return cluster_check([record(rng, block, ranks, slow or {}, link) for block in range(LAUNCHES)], "cluster-check")


def record(rng: np.random.Generator, block: int, ranks: int, slow: Slow, link: tuple[int, int] | None) -> LaunchRecord:
    tasks = tasks_of(ranks, "cpu")
    columns = [column(rng, task, ranks, slow, link) for task in tasks]
    steps = np.stack(columns, axis=2).reshape(ranks, -1)  # One round after another.
    nanoseconds = (steps * 1e9).astype(np.int64)
    warmup = len(tasks)
    reports = tuple(rank_report(rank, row, warmup) for rank, row in enumerate(nanoseconds))
    return LaunchRecord(header(block, ranks, reports), nanoseconds)


def column(rng: np.random.Generator, task: Task, ranks: int, slow: Slow, link: tuple[int, int] | None) -> np.ndarray:
    """Return the seconds of one task, of shape (ranks, rounds); both ends of a link take the same time."""
    logs = PROCESSES * rng.standard_normal((ranks, 1)) + JITTER * rng.standard_normal((ranks, ROUNDS))
    factors = np.array([slow.get((task.kind, rank), 1.0) for rank in range(ranks)])[:, None]
    seconds = SECONDS[task.kind] * np.exp(logs) * factors
    for left, right in task.pairs:
        seconds[[left, right]] = seconds[left] * (1.05 if (left, right) == link else 1.0)
    return seconds


def rank_report(rank: int, row: np.ndarray, warmup: int) -> RankReport:
    return RankReport(
        rank=rank, host="node-a" if rank < 2 else "node-b", cpus=(rank,),
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        windows=(
            Window(kind="warmup", steps=warmup, host_nanoseconds=int(row[:warmup].sum())),
            Window(kind="measured", steps=len(row) - warmup, host_nanoseconds=int(row[warmup:].sum())),
        ),
        peak_memory_bytes=None, first_loss=None, last_loss=None, compilations_after_warmup=None,
        compilations_after_window=None, flags={},
    )  # fmt: skip


def header(block: int, ranks: int, reports: tuple[RankReport, ...], failure: Failure | None = None) -> LaunchHeader:
    cell = Cell(
        candidate="check", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=ranks, processes=ranks, batch_per_worker=1,
    )  # fmt: skip
    return LaunchHeader(
        launch_id=f"b{block:03d}.x", scenario_digest="0" * 64, cell=cell, block=block, position=0, launcher="bare",
        forked=True, started_at="", wall_seconds=1, ranks=reports, failure=failure,
    )  # fmt: skip


def test_the_all_reduce_of_a_host_is_set_beside_what_its_links_carry() -> None:
    rng = np.random.default_rng(0)
    facts = {"kind": "gpu", "name": "g", "nvlinks": 4, "nvlink_generation": 3, "nvlink_bytes_per_second": 10**9}
    devices = [DeviceFacts(**facts, uuid_tail=str(rank), peers={str(1 - rank): "NV4"}) for rank in range(2)]
    records = [record(rng, block, 2, {}, None) for block in range(LAUNCHES)]
    for index, one in enumerate(records):
        ranks = tuple(rank.model_copy(update={"device": devices[rank.rank]}) for rank in one.header.ranks)
        header = one.header.model_copy(update={"ranks": ranks})
        records[index] = LaunchRecord(header, one.step_nanoseconds)
    [whole] = [rates for rates in cluster_check(records, "cluster-check").rates if rates.what.startswith("all-reduce")]
    assert whole.limit == LinkLimit(name="NVLink 3, 4 links", bytes_per_second=1e9)
    share = whole.rates[0].value / 1e9
    assert f"  {share:.1%} of NVLink 3, 4 links: 1 GB/s" in list(lines(cluster_check(records, "cluster-check")))
    assert not [line for line in lines(check(0)) if "NVLink" in line or "PCIe" in line]


def test_a_rank_that_is_5_percent_slower_is_named_in_20_of_20_checks() -> None:
    for seed in range(20):
        found = check(seed, slow={("product", 2): 1.05})
        assert found.verdict == "suspicious"
        [slow] = found.slow
        assert (slow.what, slow.name) == ("product", "rank 2 (node-b)")
        assert slow.slower == pytest.approx(0.05, abs=0.015)


def test_of_two_ranks_the_slower_one_is_named() -> None:
    found = check(0, ranks=2, slow={("copy", 1): 1.05})
    assert [(slow.what, slow.name) for slow in found.slow] == [("copy", "rank 1 (node-a)")]


def test_nothing_is_named_in_20_checks_where_all_is_well() -> None:
    checks = [check(seed) for seed in range(100, 120)]
    assert {found.verdict for found in checks} == {"ok"}
    assert not [slow for found in checks for slow in found.slow]


def test_a_slow_link_is_named_by_both_of_its_ends() -> None:
    found = check(1, ranks=6, link=(2, 4))
    assert [(slow.what, slow.name) for slow in found.slow] == [("link", "rank 2 (node-b) - rank 4 (node-b)")]
    assert any("topo -m" in remedy for remedy in found.remedies)


def test_links_between_nodes_are_not_compared_with_those_within_a_node() -> None:
    kinds = {rates.what: len(rates.names) for rates in check(2).rates}
    assert kinds["link within a node"] == 2
    assert kinds["link between nodes"] == 4


def test_half_the_speed_is_broken() -> None:
    found = check(3, slow={("product", 0): 2.0})
    assert found.verdict == "broken"


def test_a_launch_that_failed_is_broken_with_its_cause() -> None:
    cause = Failure(rank=1, cause="all-reduce: expected 1 as value 0 on rank 1, found 0")
    failed = LaunchRecord(header(0, 2, (), cause), NO_STEPS)
    found = cluster_check([failed], "cluster-check")
    assert found.verdict == "broken"
    assert "failed: rank 1: all-reduce: expected 1 as value 0" in found.findings[0]


def test_nothing_measured_is_suspicious_and_not_ok() -> None:
    assert cluster_check([], "cluster-check").verdict == "suspicious"


def test_a_check_that_could_see_nothing_is_not_ok() -> None:
    rng = np.random.default_rng(0)
    found = cluster_check([record(rng, block, 2, {}, None) for block in range(2)], "cluster-check")
    assert found.verdict == "suspicious"
    assert "could be missed" in found.findings[0]


def test_the_verdict_comes_first_and_rates_have_intervals() -> None:
    said = list(lines(check(4, slow={("product", 1): 1.05})))
    assert said[0] == "suspicious: 4 ranks in 9 launches"
    assert "product of rank 1 (node-a) takes" in said[1]
    [product] = [line for line in said if line.startswith("product: slowest")]
    assert "GFLOP/s (rank 1 (node-a))" in product
    assert "[" in product


@pytest.mark.parametrize("ranks", [2, 3, 8, 16])
def test_every_pair_of_ranks_comes_once_and_a_rank_has_one_partner_in_a_round(ranks: int) -> None:
    rounds = rounds_of(ranks)
    pairs = [pair for one in rounds for pair in one]
    assert sorted(pairs) == [(left, right) for left in range(ranks) for right in range(left + 1, ranks)]
    for one in rounds:
        busy = [rank for pair in one for rank in pair]
        assert len(set(busy)) == len(busy)


def test_of_many_ranks_each_has_fifteen_partners() -> None:
    rounds = rounds_of(64)
    assert len(rounds) == 15
    assert all(len(one) == 32 for one in rounds)
