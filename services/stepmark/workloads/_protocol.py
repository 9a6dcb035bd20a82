"""What a workload is. A file in this folder with a `WORKLOAD` object of this kind is one."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from stepmark.scenario.base import StrictModel

FRAMEWORKS = ("torch", "keras", "sleeper")


@dataclass(frozen=True)
class InputSpec:
    """One sample. Shapes are without the batch axis; images are (channels, height, width), as numpy float32.

    `vocabulary` is the number of distinct tokens (int64) and None for other kinds.
    """

    kind: Literal["vector", "image", "tokens"]
    shape: tuple[int, ...]
    classes: int
    vocabulary: int | None = None


class Workload(ABC):
    """A model and its costs. It is supported by each framework F for which it has a method `F_model(params)`.

    Builders return an untrained model that maps a batch of inputs to float logits (batch, classes).
    """

    params_model: ClassVar[type[StrictModel]]

    def frameworks(self) -> tuple[str, ...]:
        return tuple(name for name in FRAMEWORKS if hasattr(self, f"{name}_model"))

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
