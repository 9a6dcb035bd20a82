"""Define a decoder that predicts the next token: GPT-2's architecture, with its head tied to its embedding.

Its attention is causal, so padding at the end of a sample reaches no real token, and needs no mask.
Source: Radford et al. 2019. GPT-2 124M is `{layers: 12, heads: 12, width: 768, length: 1024, vocabulary: 50257}`.
"""

from typing import TYPE_CHECKING, ClassVar

from stepmark.workloads import _attention, _keras
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._sequences import SequenceWorkload

if TYPE_CHECKING:
    import keras
    import torch


class Params(_attention.SequenceParams):
    """Set the size of the decoder."""

    @property
    def block(self) -> _attention.Shape:
        """Return the shape of one block: causal, with the tanh form of GELU."""
        return _attention.Shape(self.width, self.heads, self.length, causal=True, gelu="tanh")


class Gpt(SequenceWorkload):
    """Build the decoder in each framework, and compute its costs."""

    params_model = Params
    float64_limit: ClassVar[float] = _attention.FLOAT64_LIMIT

    def input(self, params: Params) -> InputSpec:
        return self._spec(params, params.vocabulary, next_token=True)

    def parameter_count(self, params: Params) -> int:
        """Return the parameters of the embeddings of tokens and positions, the blocks and the last norm.

        The head is the same matrix as the embedding of tokens.
        """
        embeddings = (params.vocabulary + params.length) * params.width
        return embeddings + params.layers * _attention.parameter_count(params.block) + 2 * params.width

    def flops_per_sample(self, params: Params) -> int:
        """Return 3 x the operations of a forward pass of blocks and head, over all tokens of a sample.

        The embedding is a look-up and counts nothing.
        """
        head = 2 * params.width * params.vocabulary * params.length
        return 3 * (params.layers * _attention.forward_flops(params.block) + head)

    def torch_model(self, params: Params) -> "torch.nn.Module":
        import torch
        from torch import nn

        class Decoder(_attention.torch_trunk(params, params.block)):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.head = nn.Linear(params.width, params.vocabulary, bias=False)
                nn.init.normal_(self.tokens.weight, std=0.02)  # GPT-2's value; torch's 1 would give logits of size 10.
                self.head.weight = self.tokens.weight

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                return self.head(self.hidden(tokens))

        return Decoder()

    def keras_model(self, params: Params) -> "keras.Model":
        import keras
        from keras import layers

        inputs = self._keras_input(params)
        embedding = layers.ReversibleEmbedding(params.vocabulary, params.width, name="tokens")
        x = _attention.keras_trunk(params, params.block, embedding(inputs))
        return keras.Model(inputs, _keras.logits(embedding(x, reverse=True)))


WORKLOAD = Gpt()
