"""Find each cell's largest batch that trains, by launches in fresh processes that are not recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from stepmark.launch.reporting import OUT_OF_MEMORY
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.driver import launch_ends
from stepmark.orchestrate.own_session import own_session
from stepmark.orchestrate.session import Session, root_cause
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.cells import Cell
from stepmark.plan.foreign import WorkloadFile
from stepmark.plan.largest import Search
from stepmark.plan.warm import WARM_BLOCK
from stepmark.results.record import Failure, RankReport


class LargestBatch(BaseModel):
    """Store the largest batch per worker with which a cell trains.

    `batch_per_worker` is None where not even the smallest batch fits, or where the search failed. `fails_at` is the
    smallest batch that did not train, and `cause` what its process said; `fails_at` is None where the limit was
    reached. `peak_memory_bytes` is that of the largest batch's worst rank: of the device on GPUs, of the process on CPU
    cores. `problem` says why there is no result: the cell is unsupported, or a launch failed by other causes than
    memory; it is empty where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str
    batch_per_worker: int | None
    fails_at: int | None = None
    cause: str = ""
    peak_memory_bytes: int | None = None
    launches: int = 0
    problem: str = ""

    @property
    def text(self) -> str:
        """Return the result in words."""
        if self.problem:
            return self.problem
        if self.batch_per_worker is None:
            return "none fits"
        return f"{self.batch_per_worker} fits" + ("" if self.fails_at is None else f", {self.fails_at} does not")


Told = Callable[[str, int, bool], None]
"""Is called after each launch with the cell's key, the batch, and whether it trained."""


def largest_batches(
    plan: Plan, launcher: str, limit: int, told: Told, workload_file: WorkloadFile | None = None
) -> tuple[LargestBatch, ...]:
    """Return the largest batch of every cell, up to `limit` samples per worker.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    found = [_One(cell, _search(plan, cell, limit)) for cell in plan.measurable]
    refused = tuple(
        LargestBatch(cell=cell.key, batch_per_worker=None, problem=f"unsupported: {cell.unsupported}")
        for cell in plan.cells
        if cell.unsupported is not None
    )
    if found:
        last_words = "The search was cut off. Nothing of it is kept."
        with own_session(plan, launcher, last_words, True, workload_file) as session:
            _serve(found, session, told)
    return (*(one.result() for one in found), *refused)


def _search(plan: Plan, cell: Cell, limit: int) -> Search:
    return Search(cell.batch_per_worker, limit, plan.scenario.spec.training.gradient_accumulation)


@dataclass
class _One:
    """Keep the search of one cell, and what its launches said."""

    cell: Cell
    search: Search
    cause: str = ""
    peak: int | None = None
    launches: int = 0
    problem: str = ""

    def launch(self, number: int) -> Launch | None:
        batch = None if self.problem else self.search.following()
        if batch is None:
            return None
        tried = self.cell.model_copy(update={"batch_per_worker": batch, "several_batches": True})
        return Launch(tried, WARM_BLOCK - 1 - number, 0, 0, warm=True)

    def ended(self, batch: int, outcomes: list[RankOutcome]) -> bool:
        """Record how a launch ended, and return whether the batch trained."""
        failure = root_cause(outcomes)
        self.launches += 1
        self.search.tell(batch, failure is None)
        if failure is None:
            peaks = [peak for o in outcomes if o.report and (peak := _peak_bytes(o.report)) is not None]
            self.peak = max(peaks, default=None)  # Of the launches that train, each has a larger batch than the last.
        elif not _is_out_of_memory(failure):
            self.problem = f"failed at {batch}: {failure.cause}"
        elif self.search.fails == batch:
            self.cause = failure.cause
        return failure is None

    def result(self) -> LargestBatch:
        fits = self.search.fits if self.search.fits and not self.problem else None
        return LargestBatch(
            cell=self.cell.key,
            batch_per_worker=fits,
            fails_at=self.search.fails,
            cause=self.cause,
            peak_memory_bytes=None if fits is None else self.peak,
            launches=self.launches,
            problem=self.problem,
        )


def _peak_bytes(report: RankReport) -> int | None:
    """Return the most memory that a rank used: its GPU's by NVML, else the framework's, or the process's."""
    if report.device is None:
        return report.peak_memory_bytes
    memory = report.device_memory
    return None if memory is None else memory.used_peak_bytes or memory.reserved_peak_bytes


def _is_out_of_memory(failure: Failure) -> bool:
    """Return whether memory ran out: by the process's word, the kernel's, or that of the C++ library that aborted."""
    aborted = any("bad_alloc" in line for line in failure.stderr_tail)
    return failure.cause.startswith((OUT_OF_MEMORY, "killed by signal 9")) or aborted


def _serve(found: list[_One], session: Session, told: Told) -> None:
    """Try one batch of every cell in each round, until no search has another one."""
    number = 0
    while launches := dict(_launches(found, number)):
        for launch, outcomes in launch_ends(tuple(launches), session, None):
            batch = launch.cell.batch_per_worker
            told(launches[launch].cell.key, batch, launches[launch].ended(batch, outcomes))
        number += 1


def _launches(found: list[_One], number: int) -> Iterator[tuple[Launch, _One]]:
    for one in found:
        launch = one.launch(number)
        if launch is not None:
            yield launch, one
