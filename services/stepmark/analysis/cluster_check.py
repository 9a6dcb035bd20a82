"""Judge a cluster by the launches of a cluster check: which ranks and links are slow, and what else speaks against it.

Each rank's products and copies, and each pair's all-reduces, are searched for slow ones as `stragglers` does it. The
pairs are divided into those within a node and those between nodes, which differ by design.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stepmark import catalog
from stepmark.analysis.intervals import Estimate, geometric_mean
from stepmark.analysis.launch import Launch, reduced
from stepmark.analysis.link_limits import LinkLimit, common_limit, link_limit
from stepmark.analysis.step_times import SummaryModel
from stepmark.analysis.stragglers import StragglerReport, straggler_report
from stepmark.results.record import LaunchHeader, LaunchRecord

Verdict = Literal["ok", "suspicious", "broken"]
Times = NDArray[np.float64]
LEAST_SLOW = 0.02  # A rank or link that is less slow than this is not named.
_STRICTER = 5  # Of 1,000 checks in which all is well, at most two name anything (1 % / 5).
_BROKEN_SLOW = 0.5
_BLIND = 0.1  # A search that would miss a slowness of this size says nothing of its ranks.


class Slow(SummaryModel):
    """Store a rank or a link that is slower than the others, by `slower` with a 95 % interval from `low` to `high`.

    `what` is `product`, `copy` or `link`. `block` is None where it was slow in all launches, and otherwise the one.
    """

    what: str
    name: str
    slower: float
    low: float
    high: float
    block: int | None


class Rates(SummaryModel):
    """Store what all ranks or links have together: of each, its median rate with an interval over launches.

    Rates are in floating-point operations per second for products, in bytes per second for copies, and in bytes per
    second of bus bandwidth for exchanges. `limit` is what the links carry at most, where all ranks exchange and it is
    known.
    """

    what: str
    names: tuple[str, ...]
    rates: tuple[Estimate, ...]
    detectable: float | None
    limit: LinkLimit | None = None


class ClusterCheck(SummaryModel):
    """Store what a check found. `detectable` of a search is the slowness that it would have found in 4 of 5 checks."""

    schema_version: Literal[1] = 1
    verdict: Verdict
    launches: int
    workers: int
    slow: tuple[Slow, ...]
    rates: tuple[Rates, ...]
    findings: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class _Search:
    """Hold the times of one kind of task: for each launch, of shape (names, rounds)."""

    what: str
    names: tuple[str, ...]
    launches: list[Times]
    blocks: list[int]
    amount: float
    limit: LinkLimit | None = None


def cluster_check(records: Iterable[LaunchRecord], model: str) -> ClusterCheck:
    """Return the verdict on the machines that made these launches. `model` is the workload's name.

    It is `broken` where a launch failed, nothing was measured, or something is slower by half. It is `suspicious` where
    a rank or link is slower than the others, a GPU was kept from its clocks, others disturbed every launch, or times
    vary so much that slow ranks could not be seen.
    """
    launches, good = [], []
    for record in records:
        launch = reduced(record, None)
        launches.append(launch)
        if launch.figures is not None:
            good.append(record)
    failed = [launch.why_bad for launch in launches if launch.why_bad is not None]
    searches = list(_searches(good, model)) if good else []
    found = [(search, _report(search, _STRICTER * len(searches))) for search in searches]
    slow = [one for search, report in found for one in _slow(search, report)]
    workers = len(good[0].header.ranks) if good else 0
    findings, remedies = _told(failed, launches, slow, bool(good))
    if blind := [search.what for search, report in found if _is_blind(report)]:
        findings.append(f"{', '.join(blind)}: times vary so much that a slowness of {_BLIND:.0%} could be missed")
        remedies.append("Stop what else runs on these machines; then run the check again, with all of its launches.")
    return ClusterCheck(
        verdict=_verdict(failed, slow, findings),
        launches=len(good),
        workers=workers,
        slow=tuple(slow),
        rates=tuple(_rates(search, report) for search, report in found),
        findings=tuple(findings),
        remedies=tuple(remedies),
    )


def _searches(records: Sequence[LaunchRecord], model: str) -> Iterator[_Search]:
    """Yield what is searched: the ranks' products and copies, the whole all-reduce, and the links by kind."""
    first = records[0].header
    tasks = catalog.load_workload(model).tasks(first.cell.workers, first.cell.device)
    blocks = [record.header.block for record in records]
    names = [_rank_name(first, rank) for rank in range(len(first.ranks))]
    rounds = [_by_task(record, len(tasks)) for record in records]
    for place, task in enumerate(tasks):
        own = [one[place] for one in rounds]
        if task.kind in ("product", "copy"):
            yield _Search(task.kind, tuple(names), own, blocks, task.amount)
        elif task.kind == "all-reduce":
            whole = [one.max(axis=0, keepdims=True) for one in own]
            share = (len(names) - 1) / len(names)
            limit = common_limit([link_limit(record.header) for record in records])
            yield _Search("all-reduce of all ranks", ("all",), whole, blocks, 2 * share * task.amount, limit)
    links: dict[str, list[tuple[str, list[Times]]]] = defaultdict(list)
    for place, task in enumerate(tasks):
        for left, right in task.pairs:
            same = first.ranks[left].host == first.ranks[right].host
            times = [one[place][[left, right]].max(axis=0) for one in rounds]
            links["link within a node" if same else "link between nodes"].append(
                (f"{names[left]} - {names[right]}", times)
            )
    amount = next((task.amount for task in tasks if task.pairs), 0)
    for what, found in links.items():
        stacked = [np.stack([times[index] for _, times in found]) for index in range(len(records))]
        yield _Search(what, tuple(name for name, _ in found), stacked, blocks, amount)


def _by_task(record: LaunchRecord, tasks: int) -> list[Times]:
    """Return the seconds of each task in the measured windows, of shape (ranks, rounds) each, whole rounds only."""
    first = -(-record.warmup_stamps // tasks) * tasks
    steps = record.step_nanoseconds[:, first:].astype(np.float64) / 1e9
    count = steps.shape[1] // tasks
    return [steps[:, place : count * tasks : tasks] for place in range(tasks)]


def _rank_name(header: LaunchHeader, rank: int) -> str:
    report = header.ranks[rank]
    gpu = "" if report.device is None else f", GPU {report.device.uuid_tail}"
    return f"rank {rank} ({report.host}{gpu})"


def _report(search: _Search, searches: int) -> StragglerReport:
    return straggler_report(search.launches, None, search.blocks, LEAST_SLOW, searches)


def _is_blind(report: StragglerReport) -> bool:
    return report.ranks > 1 and (report.detectable is None or report.detectable > _BLIND)


def _slow(search: _Search, report: StragglerReport) -> Iterator[Slow]:
    what = "link" if search.what.startswith("link") else search.what
    for one in report.slow:
        name = search.names[one.rank]
        yield Slow(what=what, name=name, slower=one.slower, low=one.low, high=one.high, block=one.block)


def _rates(search: _Search, report: StragglerReport) -> Rates:
    medians = np.stack([np.median(one, axis=1) for one in search.launches], axis=1)
    rates = tuple(geometric_mean(search.amount / own) for own in medians)
    return Rates(what=search.what, names=search.names, rates=rates, detectable=report.detectable, limit=search.limit)


_REMEDIES: Mapping[str, str] = {
    "product": "Look at the rank's clocks, power limit, temperature and other processes, or take its node out.",
    "copy": "Look at the rank's memory: its clocks, ECC errors, and which NUMA node its process runs on.",
    "link": "Look at both ends: NVLink and PCIe width (nvidia-smi topo -m), the NIC's speed, and NCCL's transport.",
}


def _told(
    failed: Sequence[str], launches: Sequence[Launch], slow: Sequence[Slow], measured: bool
) -> tuple[list[str], list[str]]:
    """Return what speaks against the cluster, and what to do about it, each sentence once."""
    findings = [f"{len(failed)} of {len(launches)} launches {failed[0]}"] if failed else []
    remedies = ["See the cause and the node's log; then run the check again."] if failed else []
    if not measured and not failed:
        disturbed = next((launch.disturbed for launch in launches if launch.disturbed), "no launch has ended")
        findings.append(f"nothing was measured: {disturbed}")
        remedies.append("Stop what else runs on these machines; then run the check again.")
    notes = dict.fromkeys(note for launch in launches for note in launch.device_notes)
    findings += notes
    if notes:
        remedies.append("Look at the GPUs' clocks, power limits and temperatures: nvidia-smi -q -d PERFORMANCE.")
    for one in slow:
        when = "" if one.block is None else f" in block {one.block} alone"
        findings.append(
            f"{one.what} of {one.name} takes {one.slower:.1%} longer [{one.low:.1%}, {one.high:.1%}] than others{when}"
        )
    return findings, [*remedies, *dict.fromkeys(_REMEDIES[one.what] for one in slow)]


def _verdict(failed: Sequence[str], slow: Sequence[Slow], findings: Sequence[str]) -> Verdict:
    if failed or any(one.low > _BROKEN_SLOW for one in slow):
        return "broken"
    return "suspicious" if findings else "ok"
