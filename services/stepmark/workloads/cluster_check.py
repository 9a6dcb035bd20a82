"""Define the check of a cluster: in turn each rank multiplies, copies and exchanges. Nothing is trained."""

from typing import Annotated

from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.terms import DeviceKind
from stepmark.workloads._tasks import Task, tasks_of
from stepmark.workloads._untrained import Untrained


class Params(StrictModel):
    """Make a rank slower, to try the check itself. Only the engine `sleeper` does it."""

    slow_rank: Annotated[int, Field(ge=0, le=4096)] | None = None
    """Rank whose products take `slowFactor` times as long; absent: no rank's."""
    slow_factor: Annotated[float, Field(ge=1, le=1000)] = 1.05
    """Factor of the slow rank's products."""


class ClusterCheck(Untrained):
    """Run the tasks of a cluster check in turn, one in each step."""

    params_model = Params
    engine_class = "Checks"

    def frameworks(self) -> tuple[str, ...]:
        return ("torch", "sleeper")

    def tasks(self, workers: int, device: DeviceKind) -> tuple[Task, ...]:
        return tasks_of(workers, device)


WORKLOAD = ClusterCheck()
