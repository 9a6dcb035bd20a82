"""What a workload is. A file in this folder with a `WORKLOAD` object of this kind is one."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from stepmark.scenario.base import StrictModel
from stepmark.workloads._weights import Array, initial

FRAMEWORKS = ("torch", "keras", "sleeper")


@dataclass(frozen=True)
class InputSpec:
    """One sample. Shapes are without the batch axis; images are (channels, height, width), as numpy float32.

    `vocabulary` is the number of distinct tokens (int64) and None for other kinds. `next_token`: each token has a
    label, the one that follows it, and logits are (batch, length, classes); otherwise a sample has one.
    """

    kind: Literal["vector", "image", "tokens"]
    shape: tuple[int, ...]
    classes: int
    vocabulary: int | None = None
    next_token: bool = False


class Workload(ABC):
    """A model and its costs. It is supported by each framework F for which it has a method `F_model(params)`.

    Builders return an untrained model that maps a batch of inputs to logits (batch, classes), which a Keras model casts
    to the precision of its loss (`_keras.logits`).
    """

    params_model: ClassVar[type[StrictModel]]
    float64_limit: ClassVar[float] = 1e-12
    """Largest relative error between two frameworks in float64 (docs/parity.md)."""

    def frameworks(self) -> tuple[str, ...]:
        return tuple(name for name in FRAMEWORKS if hasattr(self, f"{name}_model"))

    def starting_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """What a parity check starts from: values for torch's names and shapes, the same in every engine.

        A model with ReLU overrides it: where an input of a ReLU lies within rounding of zero, two right engines take
        different sides, and their gradients differ by far more than rounding.
        """
        return initial(shapes, seed)

    def parse(self, params: dict[str, Any]) -> Any:
        """The typed parameters of a document's `workload.params`."""
        return self.params_model.model_validate_json(json.dumps(params))

    @abstractmethod
    def input(self, params: Any) -> InputSpec:
        """One sample of the model with these parameters."""

    @abstractmethod
    def parameter_count(self, params: Any) -> int | None:
        """Trainable parameters, by formula; None where there is no model."""

    @abstractmethod
    def flops_per_sample(self, params: Any) -> int | None:
        """Floating-point operations of one training step, per sample: 3 x forward, a multiply-add counts 2.

        Only matrix products and convolutions count (MLPerf training_policies, "Utilization"); None where unknown.
        """
