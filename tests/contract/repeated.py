"""Trace models whose layers are called again and again. Run as a script, once for each framework below Keras.

python repeated.py FOLDER ENGINE MODEL... writes FOLDER/ENGINE-MODEL.npz for each of these MODELS, with keras-torch also
for the engine torch. It prints, as JSON, why each of RANDOM and STILL is refused, which differ only in their rates, and
an empty text where one is not. TensorFlow's process looks at the Keras models, and torch's at the torch models.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.errors import ModelRefused
from stepmark.parity.probe import trace
from stepmark.workloads import InputSpec, KerasModel, ModelPair, TorchModel, Workload
from stepmark.workloads._batches import global_batches

SERIES, IMAGE = InputSpec("vector", (5, 6), 4), InputSpec("image", (3, 8, 8), 4)


class SharedLayer(ModelPair):
    """Call one layer twice."""

    sample = InputSpec("vector", (6,), 4)

    def build_torch(self, params: Any) -> Any:
        from torch import nn

        shared = nn.Linear(6, 6)
        return nn.Sequential(shared, nn.GELU(), shared, nn.Linear(6, 4))

    def build_keras(self, params: Any) -> Any:
        import keras
        from keras import layers

        shared, inputs = layers.Dense(6, name="0"), keras.Input((6,))
        x = shared(keras.ops.gelu(shared(inputs), approximate=False))
        return keras.Model(inputs, layers.Dense(4, name="3")(x))


class Recurrent(KerasModel):
    """Run one recurrent layer after another over a series, and a dense one over each of its positions between them."""

    sample = SERIES

    def build(self, params: Any) -> Any:
        from keras import Sequential, layers

        each = layers.TimeDistributed(layers.Dense(6))
        return Sequential([layers.LSTM(6, return_sequences=True), each, layers.SimpleRNN(6), layers.Dense(4)])


class Layer(KerasModel):
    """Have the layer that `make` returns before the last one."""

    def __init__(self, make: Callable[[Any], Any], sample: InputSpec = SERIES) -> None:
        self.make, self.sample = make, sample  # type: ignore[misc]

    def build(self, params: Any) -> Any:
        import keras
        from keras import layers

        inputs = keras.Input((8, 8, 3) if self.sample is IMAGE else SERIES.shape)
        return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(self.make(layers)(inputs))))


class Attention(Layer):
    """Let a series attend to itself."""

    def __init__(self, rate: float, kind: str) -> None:
        super().__init__(
            lambda layers: (
                lambda x: (
                    layers.MultiHeadAttention(2, 3, dropout=rate)(x, x)
                    if kind == "multi"
                    else layers.Attention(dropout=rate)([x, x])
                )
            )
        )


class OwnLayer(Layer):
    """Have a layer of the user's own that drops whole branches at random."""

    def __init__(self, rate: float) -> None:
        def make(layers: Any) -> Any:
            import keras

            class StochasticDepth(layers.Layer):  # type: ignore[misc]
                def __init__(self) -> None:
                    super().__init__()
                    self.drop_prob, self.seeds = rate, keras.random.SeedGenerator(7)

                def call(self, x: Any) -> Any:
                    return keras.random.dropout(x, self.drop_prob, seed=self.seeds) if self.drop_prob else x

            return StochasticDepth()

        super().__init__(make)


class TorchRecurrent(TorchModel):
    """Have two layers of LSTM with dropout between them."""

    sample = SERIES

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def build(self, params: Any) -> Any:
        from torch import nn

        return nn.LSTM(6, 4, num_layers=2, dropout=self.rate)


def _with_rate(rate: float) -> dict[str, Workload]:
    return {
        "lstm": Layer(lambda layers: layers.LSTM(4, dropout=rate, name="memory")),
        "gru": Layer(lambda layers: layers.GRU(4, recurrent_dropout=rate)),
        "bidirectional": Layer(lambda layers: layers.Bidirectional(layers.SimpleRNN(4, dropout=rate))),
        "noise": Layer(lambda layers: layers.GaussianNoise(rate)),
        "spatial": Layer(lambda layers: layers.SpatialDropout1D(rate)),
        "multi-head": Attention(rate, "multi"),
        "attention": Attention(rate, "single"),
        "own": OwnLayer(rate),
        "torch": TorchRecurrent(rate),
    }


MODELS: dict[str, tuple[Workload, dict[str, Any]]] = {
    "gpt": (catalog.load_workload("gpt"), {"vocabulary": 20, "length": 6, "layers": 1, "heads": 2, "width": 8}),
    "lstm": (catalog.load_workload("lstm"), {"vocabulary": 20, "length": 6, "embedding": 8, "hidden": 8}),
    "shared": (SharedLayer(), {}),
    "recurrent": (Recurrent(), {}),
}
RANDOM = {**_with_rate(0.2), "flip": Layer(lambda layers: layers.RandomFlip(), IMAGE)}
STILL = _with_rate(0.0)


def traced(module: Any, workload: Workload, values: dict[str, Any], file: Path) -> None:
    """Train the model in two micro-batches a step, and write the trace."""
    engine = module.Engine(RankContext(0, 1, "single", None, "default", "float32", (), 1, 7, 7, 0, 60, accumulate=2))
    engine.join_group()
    params = workload.parse(values)
    engine.build(workload, params, global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
    trace(engine, partial(workload.starting_weights, seed=7), lambda x: x, with_layers=True).save(file)


def refused(workload: Workload, framework: str) -> str:
    try:
        getattr(workload, f"{framework}_model")(workload.parse({}))
    except ModelRefused as error:
        return str(error)
    return ""


def main(folder: Path, engine: str, *models: str) -> None:
    module = catalog.load_engine(engine)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    for one in (engine, "torch") if engine == "keras-torch" else (engine,):
        known = catalog.load_engine(one)
        for name in models:
            if known.SUPPORT.framework in MODELS[name][0].frameworks():
                traced(known, *MODELS[name], folder / f"{one}-{name}.npz")
    framework = {"keras-tensorflow": "keras", "keras-torch": "torch"}.get(engine)
    found = {
        which: {name: refused(one, framework) for name, one in rates.items() if framework in one.frameworks()}
        for which, rates in {"random": RANDOM, "still": STILL}.items()
        if framework is not None
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
