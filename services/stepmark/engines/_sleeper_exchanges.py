"""Sleep as long as collectives and the tasks of a cluster check take on a machine whose speed is known."""

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import NDArray

from stepmark.engines._checks import Call, TaskSteps
from stepmark.engines._collectives import CollectiveSteps
from stepmark.engines._sleeper_device import sleep_exactly
from stepmark.workloads._messages import Message
from stepmark.workloads._tasks import Kind

_COLLECTIVE_SECONDS, _BUS_BYTES_PER_SECOND = 0.0002, 1e9  # what a collective takes at least, and its bandwidth
_TASK_SECONDS: dict[Kind, float] = {"product": 0.008, "copy": 0.004, "all-reduce": 0.002, "barrier": 0.0001}
_PAIR_SECONDS = 0.002


class SleepingCollectives(CollectiveSteps):
    """Take the time of a known latency and a known bus bandwidth."""

    def _begin(self, message: Message) -> Callable[[], Any]:
        seconds = _COLLECTIVE_SECONDS + message.bytes * message.bus_factor / _BUS_BYTES_PER_SECOND
        self._found = message.expected(self._context.rank)
        return partial(sleep_exactly, seconds)

    def _result(self) -> NDArray[Any]:
        return self._found

    def drain(self) -> None:
        return None


class SleepingChecks(TaskSteps):
    """Take the same time on every rank, but longer for the products of the rank that is to be slow."""

    def _calls(self, params: Any) -> dict[Kind, Call]:
        seconds = dict(_TASK_SECONDS)
        if params.slow_rank == self._context.rank:
            seconds["product"] *= params.slow_factor
        return {kind: partial(sleep_exactly, one) for kind, one in seconds.items()}

    def _pair_call(self, pair: tuple[int, int], params: Any) -> Call:
        return partial(sleep_exactly, _PAIR_SECONDS)

    def drain(self) -> None:
        return None
