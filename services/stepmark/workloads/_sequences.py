"""Define what the workloads have in common whose samples are sequences of tokens, of one length or of many."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from stepmark.workloads._lengths import PADDING
from stepmark.workloads._protocol import InputSpec, Workload

if TYPE_CHECKING:
    import keras


class SequenceWorkload(Workload):
    """Build a model of tokens. With lengths, it takes batches of any length up to `params.length`.

    A model ignores padding only where there may be any, since looking for it takes time.
    """

    _lengths_vary = False
    _padded = False

    def with_lengths(self, padded: bool) -> Self:
        found = copy.copy(self)
        found._lengths_vary, found._padded = True, padded
        return found

    def _spec(self, params: Any, classes: int, next_token: bool = False) -> InputSpec:
        spec = InputSpec("tokens", (params.length,), classes, params.vocabulary, next_token)
        return replace(spec, padded=self._padded)

    def _keras_input(self, params: Any) -> Any:
        import keras

        return keras.Input((None if self._lengths_vary else params.length,), dtype="int32")

    def _keras_real(self, tokens: "keras.KerasTensor") -> Any:
        """Return which of Keras' tokens are real, (batch, length); None where there is no padding."""
        import keras

        return keras.ops.not_equal(tokens, PADDING) if self._padded else None
