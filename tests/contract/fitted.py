"""Train with Keras' `fit` and with the written-out loop, in one process of one engine. Run as a script.

python fitted.py FOLDER ENGINE    writes FOLDER/ENGINE.NAME.npz, a trace of each job, and prints facts of `fit` as JSON
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from stepmark import catalog
from stepmark.engines import _losses
from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import RankContext
from stepmark.parity.probe import begin, trace
from stepmark.workloads import InputSpec, KerasModel, Workload
from stepmark.workloads._batches import global_batches

FIT, EXECUTIONS = ("fit",), ("fit", "steps-per-execution")


class OwnLoss(KerasModel):
    sample = InputSpec("vector", (6,), 4)

    def build(self, params: Any) -> Any:
        import keras

        layers = [keras.layers.Dense(8, activation="tanh", name="first"), keras.layers.Dense(4, name="last")]
        return keras.Sequential(layers, name="own")

    def keras_loss(self, outputs: Any, labels: Any) -> Any:
        from keras import ops

        chosen = ops.take_along_axis(ops.log_softmax(outputs), ops.expand_dims(labels, -1), axis=-1)
        return -3 * ops.mean(chosen)


class Values(OwnLoss):
    sample = InputSpec("vector", (6,), 4, labels="values")
    keras_loss = None  # type: ignore[assignment]


class Bits(OwnLoss):
    sample = InputSpec("vector", (6,), 4, labels="bits")
    keras_loss = None  # type: ignore[assignment]


class Normed(KerasModel):
    sample = InputSpec("image", (1, 8, 8), 4)

    def build(self, params: Any) -> Any:
        from keras import Sequential, layers

        body = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
        return Sequential([*body, layers.Flatten(), layers.Dense(4, name="last")], name="normed")


class Tokens(KerasModel):
    sample = InputSpec("tokens", (6,), 20, vocabulary=20, next_token=True)

    def build(self, params: Any) -> Any:
        from keras import Sequential, layers

        return Sequential([layers.Embedding(20, 8, name="first"), layers.Dense(20, name="last")], name="tokens")


MODELS: dict[str, tuple[Workload, dict[str, Any]]] = {
    "mlp": (catalog.load_workload("mlp"), {"hidden": 16}),
    "normed": (Normed(), {}),
    "tokens": (Tokens(), {}),
    "own-loss": (OwnLoss(), {}),
    "values": (Values(), {}),
    "bits": (Bits(), {}),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "adamw-clipped": {"optimizer": "adamw", "clip_global_norm": 0.01},
    "float16": {"precision": "float16"},
}
NAMES = (*MODELS, *SETTINGS)


def sum_for_mean(*_: Any) -> Any:
    """Return the loss that somebody takes who writes a sum where Keras takes the mean."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")


class Trainer:
    """Build engines of one module."""

    def __init__(self, name: str) -> None:
        self.module: Any = catalog.load_engine(name)
        os.environ.update(self.module.SUPPORT.environment)
        self.module.import_framework()
        self.joined = False

    def built(self, name: str, options: tuple[str, ...] = ()) -> Any:
        workload, params = MODELS.get(name, MODELS["mlp"])
        settings = {"precision": "float32", "options": options} | SETTINGS.get(name, {})
        execution = self.module.SUPPORT.default_execution
        context = RankContext(
            rank=0, world_size=1, strategy="single", variant=None, execution=execution, addresses=(), threads=1,
            seed=7, launch_seed=7, block=0, collective_timeout_seconds=60, **settings,
        )  # fmt: skip
        engine = (self.module.Fit if "fit" in options else self.module.Engine)(context)
        if not self.joined:
            engine.join_group()
            self.joined = True
        parsed = workload.parse(params)
        batches = global_batches(workload.input(parsed), "synthetic", 7, 8, 2)
        engine.build(workload, parsed, batches, RATES[context.optimizer])
        return engine

    def traced(self, name: str, options: tuple[str, ...] = ()) -> Any:
        workload = MODELS.get(name, MODELS["mlp"])[0]
        return trace(self.built(name, options), lambda shapes: workload.starting_weights(shapes, 7), lambda loss: loss)


def facts(trainer: Trainer, options: tuple[str, ...]) -> dict[str, Any]:
    """Return what a window of 35 steps in one call shows, beside 35 calls of one step."""
    engine = trainer.built("mlp", options)

    def start() -> None:
        begin(engine, lambda shapes: MODELS["mlp"][0].starting_weights(shapes, 7), 0.0625)

    start()
    for index in range(35):
        engine.step(index)
    engine.synchronize()
    one_by_one, compilations, calls = engine.weights(), engine.compilations(), []
    start()
    engine.run_loop(0, 35, lambda: calls.append("begun"), lambda: calls.append("ended"))
    engine.synchronize()
    together = engine.weights()
    try:
        missing = str(engine.step_without_reduce(0))
    except NotImplementedError as error:
        missing = str(error)
    return {
        "calls": calls,
        "apart": max(float(np.abs(together[name] - one_by_one[name]).max()) for name in together),
        "compilations": [compilations, engine.compilations()],
        "flags": engine.flags(),
        "parts": sorted(engine.parts()),
        "missing": missing,
        "modules": [one for one in ("tensorflow", "torch", "jax", "pandas", "sklearn") if one in sys.modules],
    }


def main(folder: Path, name: str) -> None:
    trainer = Trainer(name)
    for job in NAMES:
        trainer.traced(job).save(folder / f"{name}.{job}.own.npz")
        trainer.traced(job, FIT).save(folder / f"{name}.{job}.fit.npz")
    with mock.patch.object(_losses, "keras_mean", sum_for_mean):
        trainer.traced("mlp", FIT).save(folder / f"{name}.planted.fit.npz")
    has_executions = trainer.module.SUPPORT.options["steps-per-execution"] is None
    if has_executions:
        trainer.traced("mlp", EXECUTIONS).save(folder / f"{name}.executions.fit.npz")
    print(json.dumps({"+".join(o): facts(trainer, o) for o in (FIT, EXECUTIONS)[: 1 + has_executions]}), flush=True)
    os._exit(0)  # TensorFlow's threads may hang in an orderly exit.


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
