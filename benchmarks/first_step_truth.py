"""Whether `stepmark first-step` finds the seconds that a script of a user takes to its first finished step.

    python benchmarks/first_step_truth.py [ROUNDS]        target: no difference beyond the interval

In every round an mlp is started by stepmark in a process of its own, and by a script as a user writes it, which prints
the clock when its first loss is known. The ratio of the two is paired within rounds. Both have the same environment.
stepmark hides the frameworks that Keras would import beside its own; a script where they are installed does not.
"""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns

from _parts import ratio, shown

from stepmark.launch.spawn import child_environment
from stepmark.orchestrate.starts import made_starts
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.starts import start_blocks
from stepmark.scenario.load import scenario_from_object

TORCH = """
import torch
from torch import nn
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.0625, momentum=0.875)
x, y = torch.randn(32, 64), torch.randint(0, 10, (32,))
optimizer.zero_grad()
loss = nn.functional.cross_entropy(model(x), y)
loss.backward()
optimizer.step()
loss.item()
"""
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
import tensorflow as tf
inputs = x = keras.Input((64,))
for width in (256, 256):
    x = keras.layers.Dense(width, "relu")(x)
model = keras.Model(inputs, keras.layers.Dense(10)(x))
optimizer = keras.optimizers.SGD(0.0625, momentum=0.875)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
x = tf.constant(np.random.randn(32, 64).astype("float32"))
y = tf.constant(np.random.randint(0, 10, 32))
@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_of(y, model(x, training=True))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return loss
float(step(x, y))
"""
LAST = "\nimport time\nprint('clock', time.perf_counter_ns(), flush=True)\n"
ALONE = """
import sys
for name in ("sklearn", "pandas", "torch", "jax"):
    sys.modules[name] = None
"""
SCRIPTS = (
    ("torch", "", TORCH),
    ("keras-tensorflow", "alone", ALONE + KERAS),
    ("keras-tensorflow", "beside others", KERAS),
)


def script_seconds(engine: str, script: str, folder: Path) -> float:
    """Return the seconds from starting the script's process until its first loss is known."""
    file = folder / "train.py"
    file.write_text(script + LAST)
    environment = child_environment(engine, len(os.sched_getaffinity(0)), folder)
    begin = perf_counter_ns()
    done = subprocess.run([sys.executable, str(file)], env=environment, capture_output=True, text=True, check=True)
    [said] = [line for line in done.stdout.splitlines() if line.startswith("clock ")]
    return (int(said.split()[1]) - begin) / 1e9


def main(rounds: int) -> None:
    for engine, where, script in SCRIPTS:
        scenario = scenario_from_object(
            {
                "apiVersion": "stepmark.dev/v1alpha1",
                "kind": "Scenario",
                "metadata": {"name": "first-step-truth"},
                "spec": {
                    "workload": {"model": "mlp", "params": {"features": 64, "hidden": 256, "layers": 2}},
                    "candidates": [{"name": "it", "engine": engine}],
                    "scale": {"batchPerWorker": 32},
                },
            }
        )
        plan = make_plan(scenario, Machine(places=1, programs=()))
        cold = tuple((block[0],) for block in start_blocks(plan, None, rounds + 1))
        found, scripts = [], []
        with (
            TemporaryDirectory() as folder,
            closing(made_starts(plan, (), cold, "bare", lambda *_: None, "cut off")) as made,
        ):
            for [start] in made:
                assert start.slowest is not None, start.failure
                found.append(start.slowest.script_seconds)
                scripts.append(script_seconds(engine, script, Path(folder)))
        print(f"{engine} {where}: stepmark / script {shown(ratio(found[1:], scripts[1:]))}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
