"""A matrix of 24 launches (2 engines, 1 and 2 workers, 6 blocks, windows of 2 s): stepmark against one `fit` a launch.

    python benchmarks/launch_matrix.py [BLOCKS]        target: at least 4 times faster

Both sides use one Ray start, the same model, batch, warm-up and windows. The other side is what a careful person would
write: for every launch a fresh `TorchTrainer.fit` or `TensorflowTrainer.fit`, whose workers train and time themselves.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN, LAYERS, FEATURES, CLASSES, BATCH = 512, 4, 64, 10, 64
WARMUP_SECONDS, WINDOW_SECONDS = 0.3, 2.0


def scenario(blocks: int) -> dict[str, Any]:
    torch = {"name": "torch", "engine": "torch", "strategy": "ddp"}
    keras = {"name": "keras", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"}
    return {
        "apiVersion": "stepmark.dev/v1alpha1",
        "kind": "Scenario",
        "metadata": {"name": "launch-matrix"},
        "spec": {
            "workload": {"model": "mlp", "params": {"hidden": HIDDEN, "layers": LAYERS}},
            "candidates": [torch, keras],
            "scale": {"workers": [1, 2], "batchPerWorker": BATCH},
            "measurement": {
                "launches": blocks, "minSteps": 10, "minSeconds": WINDOW_SECONDS, "warmupSeconds": WARMUP_SECONDS,
            },
        },
    }  # fmt: skip


def by_stepmark(folder: Path, blocks: int) -> float:
    """Run the whole command with stepmark; print where its seconds went, and return them."""
    (folder / "scenario.yaml").write_text(json.dumps(scenario(blocks)))
    started = time.monotonic()
    command = [sys.executable, "-m", "stepmark", "run", str(folder / "scenario.yaml"), "--out", str(folder / "out")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    print_split(folder / "out", seconds)
    return seconds


def print_split(out: Path, total: float) -> None:
    from stepmark.results.store import SqliteStore

    split = dict.fromkeys(["windows", "warm-up", "first steps", "builds", "groups", "forks"], 0.0)
    launches = 0.0
    records = list(SqliteStore.open(out).records())
    for header in (record.header for record in records):
        slowest = max(header.ranks, key=lambda rank: rank.startup_seconds.first_step)
        startup = slowest.startup_seconds
        split["forks"] += startup.spawn
        split["groups"] += startup.group
        split["builds"] += startup.build
        split["first steps"] += startup.first_step
        split["warm-up"] += sum(w.host_nanoseconds for w in slowest.windows[1:] if w.kind == "warmup") / 1e9
        split["windows"] += sum(w.host_nanoseconds for w in slowest.windows if w.kind == "measured") / 1e9
        launches += header.wall_seconds
    imports = {(h.block, h.cell.engine): h.ranks[0].startup_seconds.import_ for h in (r.header for r in records)}
    blocks = {h.block for h in (r.header for r in records)}
    zygotes = sum(max(seconds for (block, _), seconds in imports.items() if block == b) for b in blocks)
    split["ends of launches"] = launches - sum(split.values())
    split["zygotes"] = zygotes
    split["Ray start and stop, and the rest"] = total - launches - zygotes
    print("stepmark: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in split.items()))


# A step takes about as long here. It is fixed, since ranks must agree on the number of steps.
STEP_SECONDS = 0.008


def _agreed(step: Any) -> float:
    for _ in range(int(WARMUP_SECONDS / STEP_SECONDS)):
        step()
    seconds = []
    for _ in range(int(WINDOW_SECONDS / STEP_SECONDS)):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def train_torch() -> float:
    import ray.train.torch
    import torch

    sizes = [FEATURES, *[HIDDEN] * LAYERS, CLASSES]
    layers = [m for i in range(len(sizes) - 1) for m in (torch.nn.Linear(sizes[i], sizes[i + 1]), torch.nn.ReLU())]
    model = ray.train.torch.prepare_model(torch.nn.Sequential(*layers[:-1]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    inputs, labels = torch.randn(BATCH, FEATURES), torch.randint(0, CLASSES, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return _agreed(step)


def train_keras() -> float:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        hidden = [keras.layers.Dense(HIDDEN, activation="relu") for _ in range(LAYERS)]
        model = keras.Sequential([keras.Input((FEATURES,)), *hidden, keras.layers.Dense(CLASSES)])
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        optimizer.build(model.trainable_variables)
    inputs, labels = tf.random.normal((BATCH, FEATURES)), tf.random.uniform((BATCH,), 0, CLASSES, tf.int32)

    def replica_step() -> None:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(labels, model(inputs), from_logits=True)
            loss = tf.reduce_mean(losses) / strategy.num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    return _agreed(tf.function(lambda: strategy.run(replica_step)))


def by_fit(folder: Path, blocks: int) -> float:
    """Return the seconds of one Ray start and a `fit` for every launch."""
    os.environ.update({"RAY_TRAIN_V2_ENABLED": "1", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "benchmark"})
    started = time.monotonic()
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer
    from ray.train.torch import TorchTrainer

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    each: dict[str, list[float]] = {"torch": [], "keras": []}
    sides = [("torch", TorchTrainer, train_torch), ("keras", TensorflowTrainer, train_keras)]
    for block in range(blocks):
        for name, trainer, function in sides:
            for workers in (1, 2):
                begun = time.monotonic()
                run = RunConfig(name=f"{name}-{workers}-{block}", storage_path=str(folder / "ray"))
                trainer(function, scaling_config=ScalingConfig(num_workers=workers), run_config=run).fit()
                each[name].append(time.monotonic() - begun)
    ray.shutdown()
    means = ", ".join(f"{name} {np.mean(seconds):.1f} s" for name, seconds in each.items())
    print(f"one fit a launch: mean {means}")
    return time.monotonic() - started


def main(blocks: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        ours = by_stepmark(Path(name), blocks)
        theirs = by_fit(Path(name), blocks)
    print(f"{4 * blocks} launches: stepmark {ours:.0f} s, one fit a launch {theirs:.0f} s")
    print(f"{theirs / ours:.2f} times faster")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
