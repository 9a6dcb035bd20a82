"""A sequence classifier: embedding, one LSTM layer, a dense layer on its last output."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads import _keras
from stepmark.workloads._protocol import InputSpec, Workload

if TYPE_CHECKING:
    import keras
    import torch


class Params(StrictModel):
    vocabulary: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    """Number of distinct tokens."""
    length: Annotated[int, Field(ge=1, le=8192)] = 64
    """Tokens in one sample."""
    embedding: Annotated[int, Field(ge=1, le=16384)] = 128
    """Width of a token's vector."""
    hidden: Annotated[int, Field(ge=1, le=16384)] = 128
    """Width of the LSTM's state."""
    classes: Annotated[int, Field(ge=2, le=65536)] = 10
    """Outputs."""


class Lstm(Workload):
    params_model = Params

    def input(self, params: Params) -> InputSpec:
        return InputSpec("tokens", (params.length,), params.classes, params.vocabulary)

    def parameter_count(self, params: Params) -> int:
        """Embedding table; 4 gates of (x + h + 1) * h; dense. torch's second bias is frozen and does not count."""
        gates = 4 * (params.embedding + params.hidden + 1) * params.hidden
        return params.vocabulary * params.embedding + gates + (params.hidden + 1) * params.classes

    def flops_per_sample(self, params: Params) -> int:
        """2 * 4 * h * (x + h) for each token forward (4 gates, a multiply-add is 2), the dense layer, 3 times.

        The embedding is a look-up and counts nothing.
        """
        forward = 8 * params.hidden * (params.embedding + params.hidden) * params.length
        return 3 * (forward + 2 * params.hidden * params.classes)

    def torch_model(self, params: Params) -> "torch.nn.Module":
        import torch
        from torch import nn

        class Classifier(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(params.vocabulary, params.embedding)
                self.lstm = nn.LSTM(params.embedding, params.hidden, batch_first=True)
                self.fc = nn.Linear(params.hidden, params.classes)
                # torch has two biases where Keras has one; both would get the full gradient, and their sum would move
                # at twice the rate. One is enough.
                nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)  # type: ignore[arg-type]

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                output, _ = self.lstm(self.embedding(tokens))
                return self.fc(output[:, -1])

        return Classifier()

    def keras_model(self, params: Params) -> "keras.Model":
        import keras

        inputs = keras.Input((params.length,), dtype="int32")
        x = keras.layers.Embedding(params.vocabulary, params.embedding, name="embedding")(inputs)
        x = keras.layers.LSTM(params.hidden, name="lstm")(x)
        return keras.Model(inputs, _keras.logits(keras.layers.Dense(params.classes, name="fc")(x)))


WORKLOAD = Lstm()
