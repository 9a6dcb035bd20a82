"""Measure collectives in place of training: what the classes `Collectives` of all engines have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._protocol import PartName, RankContext, Recompilations, Weights
from stepmark.engines._support import Refusal
from stepmark.workloads._batches import Batch
from stepmark.workloads._messages import Collective, Message
from stepmark.workloads._protocol import Workload


def refused(reason: str, *collectives: Collective, **conditions: Any) -> Refusal:
    """Return a refusal of these collectives, under the conditions of a `Refusal`.

    Where none is named, it holds for all of them and for cluster checks.
    """
    if collectives:
        params = {"collective": collectives}
        return Refusal(f"{', '.join(collectives)}: {reason}", workloads=("collective",), params=params, **conditions)
    return Refusal(f"exchanges without training: {reason}", workloads=("collective", "cluster-check"), **conditions)


_NOTHING_TRAINED = "nothing is trained, so there is nothing to accumulate or to clip"
COMMON_REFUSALS = (
    Refusal(
        "collective: messages are float32 or bfloat16",
        precisions=("tf32", "float16", "float64"),
        workloads=("collective",),
    ),
    refused("the strategy single has no group to exchange with", forms=("single",)),
    refused(_NOTHING_TRAINED, accumulation=True),
    refused(_NOTHING_TRAINED, clipping=True),
    refused("nothing is trained, so there is nothing for fit", options=("fit",)),
)
"""These refusals hold for every framework."""


class NoWeights:
    """Answer what an engine is asked about weights and compilers, where there are none."""

    def compilations(self) -> int | None:
        return None

    def recompilations(self) -> Recompilations | None:
        return None

    def weights(self) -> Weights:
        return {}

    def load_weights(self, weights: Weights) -> None:
        return None

    def restart(self, weights: Weights, learning_rate: float) -> None:
        return None

    def first_moments(self) -> Weights | None:
        return None


class NoTraining(NoWeights, ABC):
    """Be an engine that trains nothing: replace what only training needs."""

    @abstractmethod
    def drain(self) -> None:
        """Return when the device has made everything that was begun."""

    def step_without_reduce(self, index: int) -> None:
        raise NotImplementedError("nothing is trained, so no step has an exchange to leave out")

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        return {}

    def forward(self, index: int) -> NDArray[Any]:
        raise NotImplementedError("nothing is trained, so there is no model")

    def synchronize(self) -> float:
        """Wait for the device. There is no loss."""
        self.drain()
        return float("nan")


class CollectiveSteps(NoTraining):
    """Exchange one message in each step. An engine adds how its framework does it.

    It comes before an engine's own class among the bases of a `Collectives`, and replaces what only training needs.
    """

    _context: RankContext

    @abstractmethod
    def _begin(self, message: Message) -> Callable[[], Any]:
        """Place what this rank gives on its device, and return a function that makes one collective of it."""

    @abstractmethod
    def _result(self) -> NDArray[Any]:
        """Return what this rank holds after the last collective, as float32."""

    def _repeatable(self) -> None:
        """Change what the rank gives, so that collectives can follow each other in place for ever."""
        return

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        """Make one collective of known values and check its result, before anything is timed.

        Raises:
            ValueError: the result is wrong, or the message cannot be made.
        """
        its = self._context
        message = workload.message(params, its.message_bytes, its.world_size, its.precision)
        if message is None:
            raise ValueError("expected a workload that exchanges messages, found one without")
        self._exchange = self._begin(message)
        self._exchange()
        self.drain()
        message.check(its.rank, self._result())
        self._repeatable()

    def step(self, index: int) -> None:
        """Make one collective."""
        self._exchange()


def as_float32(values: Any) -> NDArray[np.float32]:
    """Return a framework's values, which may be bfloat16, as numpy's float32."""
    return np.asarray(values).astype(np.float32)
