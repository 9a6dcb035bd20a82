"""Define a transformer encoder that classifies sequences.

It adds learned positions to the embedded tokens, applies pre-norm blocks, and takes the mean over tokens. Padding is
masked in the attention, and left out of the mean.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from stepmark.workloads import _attention, _keras
from stepmark.workloads._lengths import PADDING
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._sequences import SequenceWorkload

if TYPE_CHECKING:
    import keras
    import torch


class Params(_attention.SequenceParams):
    """Set the size of the encoder."""

    classes: Annotated[int, Field(ge=2, le=65536)] = 10
    """Number of output classes."""

    @property
    def block(self) -> _attention.Shape:
        """Return the shape of one block: not causal, with the exact form of GELU."""
        return _attention.Shape(self.width, self.heads, self.length, causal=False, gelu="none")


class Transformer(SequenceWorkload):
    """Build the encoder in each framework, and compute its costs."""

    params_model = Params
    float64_limit: ClassVar[float] = _attention.FLOAT64_LIMIT

    def input(self, params: Params) -> InputSpec:
        return self._spec(params, params.classes)

    def parameter_count(self, params: Params) -> int:
        """Return the parameters of token and position embeddings, blocks, the last norm and the dense layer."""
        embeddings = (params.vocabulary + params.length) * params.width
        blocks = params.layers * _attention.parameter_count(params.block)
        return embeddings + blocks + 2 * params.width + (params.width + 1) * params.classes

    def flops_per_sample(self, params: Params) -> int:
        """Return 3 x the operations of a forward pass of blocks and dense layer.

        The embeddings are look-ups and count nothing.
        """
        dense = 2 * params.width * params.classes
        return 3 * (params.layers * _attention.forward_flops(params.block) + dense)

    def torch_model(self, params: Params) -> "torch.nn.Module":
        import torch

        padded = self._padded

        class Encoder(_attention.torch_trunk(params, params.block)):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.fc = torch.nn.Linear(params.width, params.classes)

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                if not padded:
                    return self.fc(self.hidden(tokens).mean(1))
                real = tokens != PADDING
                hidden = self.hidden(tokens, real[:, None, None, :]) * real[:, :, None]
                return self.fc(hidden.sum(1) / real.sum(1, keepdim=True))

        return Encoder()

    def keras_model(self, params: Params) -> "keras.Model":
        import keras
        from keras import layers

        inputs = self._keras_input(params)
        real = self._keras_real(inputs)
        x = layers.Embedding(params.vocabulary, params.width, name="tokens")(inputs)
        x = layers.GlobalAveragePooling1D()(_attention.keras_trunk(params, params.block, x, real), mask=real)
        return keras.Model(inputs, _keras.logits(layers.Dense(params.classes, name="fc")(x)))


WORKLOAD = Transformer()
