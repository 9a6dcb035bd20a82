"""Train small own models in torch and in Keras on torch, in one process, and print what each of them shows as JSON."""

import json
import os
from typing import Any
from unittest import mock

os.environ["KERAS_BACKEND"] = "torch"

from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.errors import ModelRefused
from stepmark.launch.own_model import check_outputs
from stepmark.parity.figures import compare
from stepmark.parity.layers import first_difference
from stepmark.parity.probe import Trace, begin, trace
from stepmark.workloads import InputSpec, KerasModel, ModelPair, TorchModel, Workload
from stepmark.workloads._batches import global_batches

IMAGE, VECTOR = InputSpec("image", (3, 8, 8), 5), InputSpec("vector", (6,), 4)


class Pair(ModelPair):
    sample = IMAGE
    epsilon = 1e-5

    def build_torch(self, params: Any) -> Any:
        from torch import nn

        first, depth = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        return nn.Sequential(first, nn.GELU(), depth, nn.Flatten(), nn.LayerNorm(384), nn.Linear(384, 5))

    def build_keras(self, params: Any) -> Any:
        import keras
        from keras import layers

        body = [
            layers.Conv2D(6, 3, padding="same", name="0"),
            layers.Activation("gelu"),
            layers.DepthwiseConv2D(3, padding="same", name="2"),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.LayerNormalization(epsilon=self.epsilon, name="norm"),
            layers.Dense(5, name="5"),
        ]
        return keras.Sequential(body)

    def names(self, params: Any) -> dict[str, str]:
        return {"norm": "4"}


class OtherEpsilon(Pair):
    epsilon = 0.5


class Unmapped(Pair):
    def names(self, params: Any) -> dict[str, str]:
        return {}


class Residual(ModelPair):
    """Add two convolutions with BatchNorm to their input, with a ReLU before, between and behind them."""

    sample = IMAGE

    def build_torch(self, params: Any) -> Any:
        from torch import nn

        class Block(nn.Sequential):
            def forward(self, x: Any) -> Any:
                return nn.functional.relu(x + super().forward(x))

        def convolved(n_in: int) -> list[nn.Module]:
            return [nn.Conv2d(n_in, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)]

        block = Block(*convolved(8), nn.ReLU(), *convolved(8))
        return nn.Sequential(*convolved(3), nn.ReLU(), block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def build_keras(self, params: Any) -> Any:
        import keras
        from keras import layers

        def convolved(x: Any, convolution: str, norm: str) -> Any:
            x = layers.Conv2D(8, 3, padding="same", use_bias=False, name=convolution)(x)
            return layers.BatchNormalization(epsilon=1e-5, name=norm)(x)

        inputs = keras.Input((8, 8, 3))
        first = x = layers.ReLU()(convolved(inputs, "0", "1"))
        x = convolved(layers.ReLU()(convolved(x, "3-0", "3-1")), "3-3", "3-4")
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([first, x])))
        return keras.Model(inputs, layers.Dense(5, name="6")(x))


class KerasResidual(KerasModel):
    sample = IMAGE

    def build(self, params: Any) -> Any:
        return Residual().build_keras(params)


class Unscaled(KerasModel):
    """Have no scale in its BatchNorm, as in keras.applications' Inception."""

    sample = IMAGE

    def build(self, params: Any) -> Any:
        from keras import Sequential, layers

        norm = layers.BatchNormalization(scale=False)
        return Sequential([layers.Conv2D(8, 3), norm, layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(5)])


class OfTorch(TorchModel):
    """Build what `make` returns."""

    def __init__(self, make: Any, sample: InputSpec = VECTOR) -> None:
        self.make, self.sample = make, sample  # type: ignore[misc]

    def build(self, params: Any) -> Any:
        return self.make()


class Regression(KerasModel):
    """Learn values with the loss that their kind calls for."""

    sample = InputSpec("vector", (6,), 3, labels="values")

    def build(self, params: Any) -> Any:
        import keras

        return keras.Sequential([keras.layers.Dense(8, "gelu"), keras.layers.Dense(3)])


class OwnLoss(Regression):
    """Learn values with the same loss, written by hand."""

    def keras_loss(self, outputs: Any, labels: Any) -> Any:
        from keras import ops

        return ops.mean(ops.square(outputs - labels))


def built(engine: str, workload: Workload) -> Any:
    module = catalog.load_engine(engine)
    params = workload.parse({})
    found = module.Engine(RankContext(0, 1, "single", None, "eager", "float32", (), 1, 7, 7, 0, 60))
    found.join_group()
    found.build(workload, params, global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
    return found


def traced(engine: str, workload: Workload) -> Trace:
    return trace(
        built(engine, workload), lambda shapes: workload.starting_weights(shapes, 7), lambda x: x, with_layers=True
    )


def nearest_to_zero(engine: str, workload: Workload) -> float:
    """Return the smallest input that any ReLU has in a parity check's first batch, without its sign."""
    from torch import nn

    made, found = built(engine, workload), list[float]()
    begin(made, lambda shapes: workload.starting_weights(shapes, 7), 0.0625)

    def relu(x: Any, inplace: bool = False) -> Any:
        found.append(float(x.detach().abs().min()))
        return x.clamp(min=0)

    with mock.patch.object(nn.functional, "relu", relu):
        made.forward(0)
    return min(found)


def compared(workload: Workload, with_torch: Workload | None = None) -> dict[str, Any]:
    found = compare(traced("torch", with_torch or Pair()), traced("keras-torch", workload), slice(None))
    return {
        "worst": found.worst,
        "unmatched": list(found.unmatched),
        "layers": [one.layer for one in found.layers],
        "parts": first_difference(found.layers, 1e-5),
    }


def refused(make: Any, sample: InputSpec = VECTOR) -> str:
    try:
        check_outputs(built("torch", OfTorch(make, sample)), sample)
    except ModelRefused as error:
        return str(error)
    return ""


def losses(workload: Workload) -> list[float]:
    engine = built("keras-torch", workload)
    found: list[float] = []
    for _ in range(4):
        engine.step(0)
        found.append(engine.synchronize())
    return found


def main() -> None:
    import torch
    from torch import nn

    catalog.load_engine("keras-torch").import_framework()

    class Functional(nn.Linear):
        def forward(self, x: Any) -> Any:
            return nn.functional.dropout(super().forward(x), 0.5)

    class Recurrent(nn.LSTM):
        def forward(self, x: Any) -> Any:  # type: ignore[override]
            return super().forward(x)[0]

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.second(self.first(x)))
            return out

    def grouped() -> nn.Module:
        norm = nn.GroupNorm(2, 8)
        return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(288, 5))

    tied = built("torch", OfTorch(Tied))
    mlp = catalog.load_workload("mlp")
    small = mlp.parse({"features": 6, "hidden": 8, "classes": 4})
    counted = built("torch", OfTorch(lambda: mlp.torch_model(small))).operations()  # type: ignore[attr-defined]
    found = {
        "pair": compared(Pair()),
        "epsilon": compared(OtherEpsilon()),
        "unmapped": compared(Unmapped()),
        "residual": compared(Residual(), Residual()),
        "nearest": {
            "torch": nearest_to_zero("torch", Residual()),
            "pair": nearest_to_zero("keras-torch", Residual()),
            "keras": nearest_to_zero("keras-torch", KerasResidual()),
            "group": nearest_to_zero("torch", OfTorch(grouped, IMAGE)),
            "unscaled": nearest_to_zero("keras-torch", Unscaled()),
        },
        "dropout": refused(lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.1))),
        "functional": refused(lambda: Functional(6, 4)),
        "no dropout": refused(lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.0))),
        "tuple": refused(lambda: nn.LSTM(6, 4)),
        "shape": refused(lambda: nn.Linear(6, 7)),
        "softmax": refused(lambda: nn.Sequential(nn.Linear(6, 4), nn.Softmax(-1))),
        "recurrent": built("torch", OfTorch(lambda: Recurrent(6, 4))).operations(),
        "shared": tied.flags()["shared_weights"],
        "shared names": sorted(tied.weights()),
        "flops": [counted.flops_per_sample, mlp.flops_per_sample(small)],
        "losses": [losses(Regression()), losses(OwnLoss())],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
