"""Build the pre-norm transformer block that `transformer` and `gpt` repeat, and compute its costs.

The block is x + attention(norm(x)), then x + mlp(norm(x)). The mlp is four times as wide inside, and there is no
dropout. Sources: Radford et al. 2019, section 2.3; Xiong et al. 2020, arXiv 2002.04745, figure 1b.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from stepmark.strict import StrictModel
from stepmark.workloads._keras import named, positions

if TYPE_CHECKING:
    import torch

EPSILON = 1e-5  # This is torch's LayerNorm default; Keras' is 1e-3.
FLOAT64_LIMIT = 1e-7
"""TensorFlow has float32 constants even in float64.

They are in its exact GELU (error 5e-9), its tanh GELU (6e-10), and the scale of its attention (1e-8 unless a head's
width is a power of 4).
"""
_EXPANSION = 4


class SequenceParams(StrictModel):
    """Set the size of a model of such blocks."""

    vocabulary: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    """Number of distinct tokens."""
    length: Annotated[int, Field(ge=1, le=65536)] = 64
    """Number of tokens in one sample."""
    layers: Annotated[int, Field(ge=1, le=128)] = 2
    """Number of blocks."""
    heads: Annotated[int, Field(ge=1, le=128)] = 4
    """Number of attention heads, which must divide the width."""
    width: Annotated[int, Field(ge=1, le=16384)] = 128
    """Width of a token's vector; the mlp is four times as wide."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"a width that is a multiple of heads, {self.heads}")
        return self


@dataclass(frozen=True)
class Shape:
    """Hold the shape of one block. `gelu` is torch's name of the form of GELU, 'none' (exact) or 'tanh'."""

    width: int
    heads: int
    length: int
    causal: bool
    gelu: str


def parameter_count(shape: Shape) -> int:
    """Return the number of trainable parameters of one block.

    For width w: two norms (2 w each); query, key, value and output (4 w^2 + 4 w); the mlp (2 * 4 w^2 + 4 w + w).
    """
    w = shape.width
    return 4 * w + 4 * w * w + 4 * w + 2 * _EXPANSION * w * w + (_EXPANSION + 1) * w


def forward_flops(shape: Shape) -> int:
    """Return the floating-point operations of one block's forward pass over one sample.

    Per token, they are 2 * 12 w^2 in the matrix products and 2 * 2 * length * w in the attention's two. Source:
    Chowdhery et al. 2022 (arXiv 2204.02311), appendix B. A causal mask saves no work there, and is not deducted.
    """
    per_token = 2 * (4 + 2 * _EXPANSION) * shape.width**2 + 4 * shape.length * shape.width
    return per_token * shape.length


def torch_block(shape: Shape) -> "torch.nn.Module":
    """Return the block as PyTorch users write it, around torch's fused attention.

    nn.TransformerEncoderLayer is no faster: a training step of this block took 0.91 to 1.03 of its time (6 shapes, one
    CPU core).
    """
    from torch import nn
    from torch.nn import functional

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_proj = nn.Linear(shape.width, 3 * shape.width)
            self.out_proj = nn.Linear(shape.width, shape.width)

        def forward(self, x: "torch.Tensor", real: "torch.Tensor | None") -> "torch.Tensor":
            batch, length, width = x.shape
            heads = (batch, length, shape.heads, width // shape.heads)
            query, key, value = (part.view(heads).transpose(1, 2) for part in self.in_proj(x).split(width, dim=2))
            mixed = functional.scaled_dot_product_attention(query, key, value, real, is_causal=shape.causal)
            return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(shape.width, eps=EPSILON)
            self.attn = Attention()
            self.norm2 = nn.LayerNorm(shape.width, eps=EPSILON)
            self.linear1 = nn.Linear(shape.width, _EXPANSION * shape.width)
            self.linear2 = nn.Linear(_EXPANSION * shape.width, shape.width)

        def forward(self, x: "torch.Tensor", real: "torch.Tensor | None" = None) -> "torch.Tensor":
            x = x + self.attn(self.norm1(x), real)
            return x + self.linear2(functional.gelu(self.linear1(self.norm2(x)), approximate=shape.gelu))

    return Block()


def torch_trunk(params: SequenceParams, shape: Shape) -> "type[torch.nn.Module]":
    """Return a module with a method `hidden`: tokens (batch, length) to normed vectors (batch, length, width).

    Its second argument says which tokens are real, in a shape that the attention takes; None where all are.
    """
    import torch
    from torch import nn

    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(params.vocabulary, params.width)
            self.positions = nn.Embedding(params.length, params.width)
            self.blocks = nn.ModuleList(torch_block(shape) for _ in range(params.layers))
            self.norm = nn.LayerNorm(params.width, eps=EPSILON)

        def hidden(self, tokens: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
            for block in self.blocks:
                x = block(x, real)
            return self.norm(x)

    return Trunk


def keras_trunk(params: SequenceParams, shape: Shape, embedded: Any, real: Any = None) -> Any:
    """Return the Keras form of `torch_trunk`, applied to embedded tokens. `real` is (batch, length), or None."""
    from keras import layers

    x = positions(params.length, params.width, "positions")(embedded)
    for index in range(params.layers):
        x = keras_block(shape, x, f"blocks.{index}", None if real is None else real[:, None, :])
    return layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)


def keras_block(shape: Shape, x: Any, name: str, mask: Any = None) -> Any:
    """Return the block as Keras users write it. `name` is the name of the torch module.

    `mask` says which keys each query may attend to, (batch, 1, length), or is None.

    One packed projection around keras.ops.dot_product_attention is not faster in general: compared with it, a training
    step with MultiHeadAttention took 0.84 to 0.89 of the time on TensorFlow, 0.90 to 0.97 on JAX, and 0.94 to 1.07 on
    torch (3 shapes, one CPU core).
    """
    import keras
    from keras import layers

    def norm(value: Any, which: str) -> Any:
        return layers.LayerNormalization(epsilon=EPSILON, name=named(f"{name}.{which}"))(value)

    attention = layers.MultiHeadAttention(shape.heads, shape.width // shape.heads, name=named(f"{name}.attn"))
    normed = norm(x, "norm1")
    x = layers.Add()([x, attention(normed, normed, attention_mask=mask, use_causal_mask=shape.causal)])
    inner = layers.Dense(_EXPANSION * shape.width, name=named(f"{name}.linear1"))(norm(x, "norm2"))
    inner = keras.ops.gelu(inner, approximate=shape.gelu == "tanh")
    return layers.Add()([x, layers.Dense(shape.width, name=named(f"{name}.linear2"))(inner)])
