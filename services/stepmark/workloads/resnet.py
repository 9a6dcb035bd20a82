"""Define residual networks for images, of 18, 34 and 50 layers, and of 8.

18, 34 and 50 are those of He et al. 2015, arXiv 1512.03385, table 1, in torchvision's form, v1.5 (a bottleneck's stride
is in its 3x3 convolution). 8 is the paper's CIFAR form (section 4.2, n = 1): three stages of 16, 32 and 64 channels,
with one basic block each. MLPerf Tiny uses it as ResNet-8.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads._keras import logits, named
from stepmark.workloads._protocol import InputSpec, Workload
from stepmark.workloads._weights import Array, balanced, decided

if TYPE_CHECKING:
    import keras
    import torch

_EPSILON, _KERAS_MOMENTUM = 1e-5, 0.9  # These are torch's BatchNorm defaults; Keras' are 1e-3 and 0.99.


class Params(StrictModel):
    """Set the depth of the network and the size of its images."""

    depth: Literal[8, 18, 34, 50] = 18
    """Number of layers with weights."""
    image_size: Annotated[int, Field(ge=8, le=1024)] = 224
    """Height and width of the images in pixels."""
    channels: Annotated[int, Field(ge=1, le=16)] = 3
    """Number of channels of the images."""
    classes: Annotated[int, Field(ge=2, le=65536)] = 1000
    """Number of output classes."""
    stem: Literal["standard", "small"] | None = None
    """standard: 7x7 stride 2, max-pooling; small: 3x3 stride 1, for 32x32 images; absent: small up to 64 pixels."""


@dataclass(frozen=True)
class Block:
    """Describe a residual block: its name as in torchvision, channels in and out, inner width, stride, and kind."""

    name: str
    n_in: int
    width: int
    n_out: int
    stride: int
    bottleneck: bool

    @property
    def projects(self) -> bool:
        """Return whether the shortcut needs a 1x1 convolution, since the shape changes."""
        return self.stride != 1 or self.n_in != self.n_out

    def convolutions(self) -> list[tuple[str, int, int, int, int]]:
        """Return (name, channels in, channels out, kernel, stride) of each convolution of the main path."""
        if self.bottleneck:
            return [
                ("conv1", self.n_in, self.width, 1, 1),
                ("conv2", self.width, self.width, 3, self.stride),
                ("conv3", self.width, self.n_out, 1, 1),
            ]
        return [("conv1", self.n_in, self.width, 3, self.stride), ("conv2", self.width, self.n_out, 3, 1)]


@dataclass(frozen=True)
class Architecture:
    """Describe the network that a depth stands for."""

    small_stem: bool
    stem_width: int
    blocks: tuple[Block, ...]


_STAGES = {8: (1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def architecture(params: Params) -> Architecture:
    """Return the network of these parameters."""
    bottleneck = params.depth == 50
    stem_width = 16 if params.depth == 8 else 64
    small = params.image_size <= 64 if params.stem is None else params.stem == "small"
    blocks, n_in = [], stem_width
    for stage, repeats in enumerate(_STAGES[params.depth]):
        width = stem_width * 2**stage
        for index in range(repeats):
            n_out = width * 4 if bottleneck else width
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(Block(f"layer{stage + 1}.{index}", n_in, width, n_out, stride, bottleneck))
            n_in = n_out
    return Architecture(small or params.depth == 8, stem_width, tuple(blocks))


def _halve(size: int) -> int:
    """Return the side after a stride of 2 with torch's padding of kernel // 2."""
    return (size + 1) // 2


def layers(params: Params) -> Iterator[tuple[int, int, int, int]]:
    """Yield (channels in, channels out, kernel, side of the output) of every convolution."""
    net, side = architecture(params), params.image_size
    side = side if net.small_stem else _halve(side)
    yield params.channels, net.stem_width, 3 if net.small_stem else 7, side
    side = side if net.small_stem else _halve(side)
    for block in net.blocks:
        for _, n_in, n_out, kernel, stride in block.convolutions():
            side = _halve(side) if stride == 2 else side
            yield n_in, n_out, kernel, side
        if block.projects:
            yield block.n_in, block.n_out, 1, side


class Resnet(Workload):
    """Build the network in each framework, and compute its costs."""

    params_model = Params
    uses_batch_statistics: ClassVar[bool] = True

    def input(self, params: Params) -> InputSpec:
        return InputSpec("image", (params.channels, params.image_size, params.image_size), params.classes)

    def parameter_count(self, params: Params) -> int:
        """Return the parameters of the convolutions, their norms and the dense layer.

        A convolution has kernel^2 * n_in * n_out, its BatchNorm 2 * n_out, and the dense layer also has a bias.
        """
        dense = (architecture(params).blocks[-1].n_out + 1) * params.classes
        return dense + sum(k * k * n_in * n_out + 2 * n_out for n_in, n_out, k, _ in layers(params))

    def flops_per_sample(self, params: Params) -> int:
        """Return 3 x the operations of a forward pass, for the convolutions and the dense layer.

        A convolution takes 2 * kernel^2 * n_in * n_out * side^2. The first layer's input gradient is left out, since
        nothing computes it.
        """
        forward = [2 * k * k * n_in * n_out * side * side for n_in, n_out, k, side in layers(params)]
        dense = 2 * architecture(params).blocks[-1].n_out * params.classes
        return 3 * (sum(forward) + dense) - forward[0]

    def starting_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return weights that keep the inputs of every ReLU away from zero.

        The biases of norms, which do so, are eight times their scales. Kernels add up to zero over the channels that
        ReLU lets through. Otherwise BatchNorm would take the difference of large numbers. A block adds only a quarter
        to its shortcut. Otherwise errors would grow with depth: in the worst tensor of a ResNet-50 whose last stage has
        one pixel, with 8 samples, they were 3e-5, over the limit, and are 1e-5 with this.
        """
        weights = super().starting_weights(shapes, seed)
        norms = {name for name, shape in shapes.items() if len(shape) == 1 and not name.startswith("fc.")}
        biases = {name: decided(weights[name], 2.0) for name in norms if name.endswith("bias")}
        scales = {name: weights[name] / 4 for name in norms if name.endswith("weight")}
        kernels = {name: balanced(values, 1) for name, values in weights.items() if values.ndim == 4}
        stem = {"conv1.weight": weights["conv1.weight"], "fc.weight": weights["fc.weight"] / 4}
        last = ".bn3.weight" if any(".bn3." in name for name in norms) else ".bn2.weight"
        branches = {name: values / 4 for name, values in scales.items() if name.endswith(last)}
        return weights | biases | scales | kernels | stem | branches

    def torch_model(self, params: Params) -> "torch.nn.Module":
        return _torch_resnet(params)

    def keras_model(self, params: Params) -> "keras.Model":
        return _keras_resnet(params)


def _torch_conv(n_in: int, n_out: int, kernel: int, stride: int) -> "torch.nn.Conv2d":
    from torch import nn

    return nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=False)


def _torch_resnet(params: Params) -> "torch.nn.Module":
    import torch
    from torch import nn

    net = architecture(params)

    class ResidualBlock(nn.Module):
        def __init__(self, block: Block) -> None:
            super().__init__()
            self.steps = len(block.convolutions())
            for number, (name, n_in, n_out, kernel, stride) in enumerate(block.convolutions(), 1):
                self.add_module(name, _torch_conv(n_in, n_out, kernel, stride))
                self.add_module(f"bn{number}", nn.BatchNorm2d(n_out))
            self.downsample = (
                nn.Sequential(_torch_conv(block.n_in, block.n_out, 1, block.stride), nn.BatchNorm2d(block.n_out))
                if block.projects
                else None
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shortcut = x if self.downsample is None else self.downsample(x)
            for number in range(1, self.steps + 1):
                x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
                if number < self.steps:
                    x = torch.relu_(x)
            return torch.relu_(x.add_(shortcut))

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kernel, stride = (3, 1) if net.small_stem else (7, 2)
            self.conv1 = _torch_conv(params.channels, net.stem_width, kernel, stride)
            self.bn1 = nn.BatchNorm2d(net.stem_width)
            self.maxpool = nn.Identity() if net.small_stem else nn.MaxPool2d(3, 2, 1)
            stages = dict.fromkeys(block.name.split(".")[0] for block in net.blocks)
            self.stages = list(stages)
            for stage in stages:
                members = [ResidualBlock(block) for block in net.blocks if block.name.startswith(f"{stage}.")]
                self.add_module(stage, nn.Sequential(*members))
            self.fc = nn.Linear(net.blocks[-1].n_out, params.classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.maxpool(torch.relu_(self.bn1(self.conv1(x))))  # ReLU works in place, as in torchvision.
            for stage in self.stages:
                x = getattr(self, stage)(x)
            return self.fc(x.mean((2, 3)))

    return ResNet()


def _keras_resnet(params: Params) -> "keras.Model":
    import keras
    from keras import layers as kl

    net = architecture(params)

    def conv_bn(x: Any, conv: str, bn: str, n_out: int, kernel: int, stride: int) -> Any:
        # At stride 2, 'same' pads (0, 1) where torch pads (1, 1). So pad explicitly and convolve with 'valid'.
        if stride > 1 and kernel > 1:
            x = kl.ZeroPadding2D(kernel // 2)(x)
        padding = "valid" if stride > 1 or kernel == 1 else "same"
        x = kl.Conv2D(n_out, kernel, stride, padding=padding, use_bias=False, name=named(conv))(x)
        return kl.BatchNormalization(epsilon=_EPSILON, momentum=_KERAS_MOMENTUM, name=named(bn))(x)

    def residual(x: Any, block: Block) -> Any:
        shortcut = x
        if block.projects:
            down = f"{block.name}.downsample"
            shortcut = conv_bn(x, f"{down}.0", f"{down}.1", block.n_out, 1, block.stride)
        for number, (name, _, n_out, kernel, stride) in enumerate(block.convolutions(), 1):
            x = conv_bn(x, f"{block.name}.{name}", f"{block.name}.bn{number}", n_out, kernel, stride)
            if number < len(block.convolutions()):
                x = kl.ReLU()(x)
        return kl.ReLU()(kl.Add()([x, shortcut]))

    inputs = keras.Input((params.image_size, params.image_size, params.channels))
    kernel, stride = (3, 1) if net.small_stem else (7, 2)
    x = kl.ReLU()(conv_bn(inputs, "conv1", "bn1", net.stem_width, kernel, stride))
    if not net.small_stem:
        x = kl.MaxPooling2D(3, 2)(kl.ZeroPadding2D(1)(x))  # After a ReLU, zeros have the same effect as torch's -inf.
    for block in net.blocks:
        x = residual(x, block)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, logits(kl.Dense(params.classes, name="fc")(x)))


WORKLOAD = Resnet()
