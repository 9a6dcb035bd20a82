"""Define what a workload is: a file in this folder with a `WORKLOAD` object of this kind."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stepmark.strict import StrictModel
from stepmark.terms import DeviceKind, Transform
from stepmark.workloads import _weights
from stepmark.workloads._messages import Message
from stepmark.workloads._tasks import Task
from stepmark.workloads._weights import Array, initial

FRAMEWORKS = ("torch", "keras", "sleeper")


FOREIGN_FLOAT64_LIMIT = 1e-7
"""This is `float64_limit` of workloads of others, which may have any layer: the largest that stepmark's own have."""
DIGITS_SIDE, DIGITS_CLASSES, DIGITS_TOKENS = 8, 10, 17  # 8x8 pixels of 0..16 (scikit-learn's load_digits)
TEXT_TOKENS = 97  # printable ASCII, the new line, and one for everything else

TRANSFORMED: Mapping[Transform, str] = {"affine": "image", "spectrogram": "vector"}
"""Each transform takes inputs of this kind."""


@dataclass(frozen=True)
class InputSpec:
    """Describe one sample. Shapes have no batch axis, and images are (channels, height, width), as numpy float32.

    `vocabulary` is the number of distinct tokens (int64), and None for other kinds. If `next_token` is set, each token
    has a label, which is the token that follows it, and logits are (batch, length, classes). Otherwise each sample has
    one label, of the kind that `labels` says: one class of `classes`, `classes` values (float32 normals), or as many
    bits (float32 zeros and ones). The kind decides on the loss: cross entropy, mean squared error, or binary cross
    entropy of logits.
    """

    kind: Literal["vector", "image", "tokens"]
    shape: tuple[int, ...]
    classes: int
    vocabulary: int | None = None
    next_token: bool = False
    labels: Literal["classes", "values", "bits"] = "classes"
    padded: bool = False
    """Samples may end with padding (`_lengths`): one token is kept for it, and labels of padding do not count."""

    @classmethod
    def of(cls, sample: NDArray[Any], classes: int, vocabulary: int | None = None) -> "InputSpec":
        """Return the description of an example, which is one sample without a batch axis.

        Integers are tokens and need a vocabulary. Floats of three axes are an image (channels, height, width), and
        other floats are a vector of any shape.

        Raises:
            ValueError: the example has tokens without a vocabulary, or neither integers nor floats.
        """
        values = np.asarray(sample)
        if values.dtype.kind not in "iuf" or (values.dtype.kind != "f" and vocabulary is None):
            needed = "floats, or integers with a vocabulary"
            raise ValueError(f"expected an example of {needed}, found {values.dtype}. Give the number of tokens too.")
        if values.dtype.kind != "f":
            return cls("tokens", values.shape, classes, vocabulary)
        return cls("image" if values.ndim == 3 else "vector", values.shape, classes)

    def why_not_transformed(self, transform: Transform) -> str | None:
        """Return what this model would have to accept for such a transform of its inputs, or None if it accepts it."""
        kind = TRANSFORMED.get(transform)
        return None if kind in (None, self.kind) else f"a model whose inputs are {kind}s, for {transform}"

    @property
    def output(self) -> tuple[int, ...]:
        """Return the shape of the model's output for one sample."""
        return (*self.shape, self.classes) if self.next_token else (self.classes,)

    def why_not(self, source: str) -> str | None:
        """Return which kind of model the samples of this source need, or None if this model can be fed with them."""
        reasons = {"digits": self._why_not_digits, "python-docs": self._why_not_text}
        reason = reasons[source]() if source in reasons else None
        needed = {"digits": "takes the 8x8 digits", "python-docs": "predicts the next character of a text"}
        return None if reason is None else f"a model that {needed[source]}: {reason}"

    def _why_not_text(self) -> str | None:
        if self.kind != "tokens" or self.labels != "classes":
            return "tokens as inputs, and labels that are classes"
        if min(self.classes, self.vocabulary or 0) < TEXT_TOKENS:
            return f"a vocabulary and classes of at least {TEXT_TOKENS}"
        return None

    def _why_not_digits(self) -> str | None:
        pixels = DIGITS_SIDE**2
        if self.labels != "classes":
            return "labels that are classes"
        if self.classes < DIGITS_CLASSES:
            return f"at least {DIGITS_CLASSES} classes"
        if self.kind == "image" and (self.shape[0] != 1 or self.shape[1] % DIGITS_SIDE):
            return f"one channel and an image size that is a multiple of {DIGITS_SIDE}"
        if self.kind == "vector" and self.shape != (pixels,):
            return f"{pixels} input features"
        if self.next_token and (self.shape != (pixels - 1,) or self.classes < DIGITS_TOKENS):
            return f"sequences of {pixels - 1} pixels (each predicts the next) and {DIGITS_TOKENS} or more tokens"
        tokens_differ = self.shape != (pixels,) or (self.vocabulary or 0) < DIGITS_TOKENS
        if self.kind == "tokens" and not self.next_token and tokens_differ:
            return f"sequences of {pixels} and a vocabulary of at least {DIGITS_TOKENS}"
        return None


class Workload(ABC):
    """Define a model and its costs. It supports each framework F for which it has a method `F_model(params)`.

    Builders return an untrained model that maps a batch of inputs to logits (batch, classes). A Keras model casts them
    to the precision of its loss (`_keras.logits`).
    """

    params_model: ClassVar[type[StrictModel]]
    float64_limit: ClassVar[float] = 1e-12
    """This is the largest relative error allowed between two frameworks in float64 (docs/parity.md)."""
    has_weights: ClassVar[bool] = True
    """Without weights there is nothing whose parity could be checked."""
    inspected: ClassVar[bool] = False
    """Models that no test of stepmark knows are inspected before they are timed (launch/own_model.py)."""
    engine_class: ClassVar[str] = "Engine"
    """This is the name of the class in an engine's module that runs this workload."""
    uses_batch_statistics: ClassVar[bool] = False
    """This says whether a sample's outputs depend on the other samples of its batch, as with BatchNorm."""
    exchanges_messages: ClassVar[bool] = False
    """This says whether a step is a collective, whose sizes the scenario lists in `sweep.messageBytes`."""

    def frameworks(self) -> tuple[str, ...]:
        """Return the frameworks that this workload supports."""
        return tuple(name for name in FRAMEWORKS if hasattr(self, f"{name}_model"))

    def initial_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return weights that a model can be trained from, under torch's names and shapes, the same in every engine."""
        return initial(shapes, seed)

    def starting_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return the weights that a parity check starts from, which are the initial ones.

        A model with ReLU overrides this. Where an input of a ReLU lies within rounding of zero, two correct engines may
        take different sides, and then their gradients differ by far more than rounding.
        """
        return self.initial_weights(shapes, seed)

    def common_weights(self, variables: Sequence[tuple[str, Array]]) -> dict[str, Array]:
        """Return copies of a Keras model's variables, given as paths and values, in the form that all engines share."""
        return _weights.torch_weights(variables)

    def keras_values(
        self, variables: Sequence[tuple[str, tuple[int, ...]]], weights: Mapping[str, Array]
    ) -> list[Array]:
        """Return copies of the values of Keras variables, given as paths and shapes, from the common form."""
        return [_weights.keras_values(path, shape, weights) for path, shape in variables]

    def torch_outputs(self, model: Any, inputs: Any) -> Any:
        """Return the logits that a torch model makes of a batch."""
        return model(inputs)

    def with_lengths(self, padded: bool) -> "Workload | None":
        """Return this workload for batches of different lengths, or None where all samples have one shape.

        `padded` says whether samples may end with padding (`_lengths`), which the model must then ignore.
        """
        return None

    def parse(self, params: dict[str, Any]) -> Any:
        """Return the typed parameters of a document's `workload.params`."""
        return self.params_model.model_validate_json(json.dumps(params))

    def message(self, params: Any, size: int | None, workers: int, precision: str) -> Message | None:
        """Return the message of at most `size` bytes that each step exchanges, or None where a model is trained."""
        return None

    def tasks(self, workers: int, device: DeviceKind) -> tuple[Task, ...]:
        """Return what steps do in turn, or () where all do the same."""
        return ()

    @abstractmethod
    def input(self, params: Any) -> InputSpec:
        """Return the description of one sample of the model with these parameters."""

    @abstractmethod
    def parameter_count(self, params: Any) -> int | None:
        """Return the number of trainable parameters, by formula, or None where there is no model."""

    @abstractmethod
    def flops_per_sample(self, params: Any) -> int | None:
        """Return the floating-point operations of one training step per sample, or None where they are unknown.

        They are 3 x forward, and a multiply-add counts 2. Only matrix products and convolutions count (MLPerf
        training_policies, "Utilization").
        """
