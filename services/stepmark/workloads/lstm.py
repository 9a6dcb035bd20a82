"""Define a sequence classifier: an embedding, one LSTM layer, and a dense layer on the last real token's output."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads import _keras
from stepmark.workloads._lengths import PADDING
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._sequences import SequenceWorkload

if TYPE_CHECKING:
    import keras
    import torch


class Params(StrictModel):
    """Set the size of the classifier."""

    vocabulary: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    """Number of distinct tokens."""
    length: Annotated[int, Field(ge=1, le=8192)] = 64
    """Number of tokens in one sample."""
    embedding: Annotated[int, Field(ge=1, le=16384)] = 128
    """Width of a token's vector."""
    hidden: Annotated[int, Field(ge=1, le=16384)] = 128
    """Width of the LSTM's state."""
    classes: Annotated[int, Field(ge=2, le=65536)] = 10
    """Number of output classes."""


class Lstm(SequenceWorkload):
    """Build the classifier in each framework, and compute its costs."""

    params_model = Params

    def input(self, params: Params) -> InputSpec:
        return self._spec(params, params.classes)

    def parameter_count(self, params: Params) -> int:
        """Return the parameters of the embedding, the gates and the dense layer.

        The 4 gates have (x + h + 1) * h each, for an input of width x and a state of width h. torch's second bias is
        frozen and does not count.
        """
        gates = 4 * (params.embedding + params.hidden + 1) * params.hidden
        return params.vocabulary * params.embedding + gates + (params.hidden + 1) * params.classes

    def flops_per_sample(self, params: Params) -> int:
        """Return 3 x the operations of a forward pass, for the LSTM and the dense layer.

        The LSTM takes 2 * 4 * h * (x + h) for each token: 4 gates, and a multiply-add counts 2. The embedding is a
        look-up and counts nothing.
        """
        forward = 8 * params.hidden * (params.embedding + params.hidden) * params.length
        return 3 * (forward + 2 * params.hidden * params.classes)

    def torch_model(self, params: Params) -> "torch.nn.Module":
        import torch
        from torch import nn

        padded = self._padded

        class Classifier(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(params.vocabulary, params.embedding)
                self.lstm = nn.LSTM(params.embedding, params.hidden, batch_first=True)
                self.fc = nn.Linear(params.hidden, params.classes)
                # torch has two biases where Keras has one. Both would get the full gradient, so their sum would move
                # at twice the rate. So one is frozen.
                nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)  # type: ignore[arg-type]

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                output, _ = self.lstm(self.embedding(tokens))
                if not padded:
                    return self.fc(output[:, -1])
                last = (tokens != PADDING).sum(1) - 1
                return self.fc(output[torch.arange(len(output), device=output.device), last])

        return Classifier()

    def keras_model(self, params: Params) -> "keras.Model":
        import keras

        inputs = self._keras_input(params)
        x = keras.layers.Embedding(params.vocabulary, params.embedding, name="embedding")(inputs)
        x = keras.layers.LSTM(params.hidden, name="lstm")(x, mask=self._keras_real(inputs))
        return keras.Model(inputs, _keras.logits(keras.layers.Dense(params.classes, name="fc")(x)))


WORKLOAD = Lstm()
