"""Run the tasks of a cluster check: what the classes `Checks` of engines have in common."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from stepmark.engines._collectives import NoTraining
from stepmark.engines._protocol import RankContext
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload
from stepmark.workloads._tasks import Kind, Task

Call = Callable[[], Any]


class TaskSteps(NoTraining):
    """Run one task in each step, and wait for its end.

    An engine adds its calls. It comes before an engine's own class among the bases of a `Checks`.
    """

    _context: RankContext

    @abstractmethod
    def _calls(self, params: Any) -> dict[Kind, Call]:
        """Return what this rank does in each kind of task but `pairs`. Each call returns when the device is done."""

    @abstractmethod
    def _pair_call(self, pair: tuple[int, int], params: Any) -> Call:
        """Return an all-reduce of this pair. All ranks must call this for all pairs in the same order."""

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        """Make one call of each task's kind for this rank, and make each of them once."""
        self.asynchronous = False  # Each task is waited for, so that its time can be read on the host.
        calls = self._calls(params)
        tasks = workload.tasks(self._context.world_size, self._context.device.kind)
        self._steps = [self._call_of(task, calls, params) for task in tasks]
        for step in self._steps:
            step()

    def _call_of(self, task: Task, calls: dict[Kind, Call], params: Any) -> Call:
        if task.kind != "pairs":
            return calls[task.kind]
        made = {pair: self._pair_call(pair, params) for pair in task.pairs}
        own = [call for pair, call in made.items() if self._context.rank in pair]
        return own[0] if own else rest

    def step(self, index: int) -> None:
        """Run the task whose turn it is."""
        self._steps[index % len(self._steps)]()


def rest() -> None:
    """Do nothing: with an odd number of ranks, one has no partner in a round."""
    return
