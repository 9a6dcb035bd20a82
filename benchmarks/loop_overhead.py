"""What stepmark's loop costs: its median step against a hand-written loop's, with the same model and optimiser objects.

    python benchmarks/loop_overhead.py [torch|keras-tensorflow]        target: <= 1.01

Ten pairs in one process, one worker on one core, steps of 20 ms and more. Within a pair the sides take turns of four
steps in ABBA order, so that a machine that changes speed meets both; a side's figure is the median of its steps. The
hand-written side is what a user would write with the framework alone.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import engine_here, ratio, shown

from stepmark import catalog
from stepmark.launch.loop import timed_window

PAIRS, TURNS, STEPS = 10, 20, 4
MODEL, PARAMS, BATCH = "resnet", {"depth": 8, "imageSize": 32, "channels": 3, "classes": 10}, 24


def by_hand_torch(engine: Any) -> Callable[[int], list[float]]:
    import torch

    model, optimizer, batches = engine._plain, engine._optimizer, engine._batches
    criterion = torch.nn.CrossEntropyLoss()

    def window(steps: int) -> list[float]:
        seconds = []
        for index in range(steps):
            start = time.perf_counter()
            [(inputs, labels)] = batches[index % len(batches)]
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
        return seconds

    return window


def by_hand_keras(engine: Any) -> Callable[[int], list[float]]:
    import keras
    import tensorflow as tf

    model, optimizer, batches = engine._model, engine._optimizer, engine._batches
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function  # type: ignore[untyped-decorator]
    def train_step(inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = criterion(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def window(steps: int) -> list[float]:
        seconds = []
        for index in range(steps):
            start = time.perf_counter()
            [batch] = batches[index % len(batches)]
            train_step(*batch)
            seconds.append(time.perf_counter() - start)
        return seconds

    return window


def by_product(engine: Any) -> Callable[[int], list[float]]:
    stamps = memoryview(bytearray(8 * (STEPS + 1))).cast("q")

    def window(steps: int) -> list[float]:
        timed_window(engine.step, engine.synchronize, stamps, 0, 0, steps)
        return (np.diff(np.abs(stamps.tolist())) / 1e9).tolist()

    return window


def main(name: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    engine = engine_here(name, catalog.load_engine(name).SUPPORT.default_execution, MODEL, PARAMS, BATCH)
    hand = {"torch": by_hand_torch, "keras-tensorflow": by_hand_keras}[name](engine)
    sides = [by_product(engine), hand]
    for side in sides:
        side(STEPS)
    times: list[list[float]] = [[], []]
    for _ in range(PAIRS):
        steps: list[list[float]] = [[], []]
        for turn in range(TURNS):
            for which in (0, 1) if turn % 2 == 0 else (1, 0):
                steps[which] += sides[which](STEPS)
        for which in (0, 1):
            times[which].append(float(np.median(steps[which])))
    by_hand = f"hand-written step {1e3 * np.median(times[1]):.1f} ms"
    print(f"{name}: {by_hand}; product / hand-written {shown(ratio(*times))}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        for engine_name in ("torch", "keras-tensorflow"):  # Frameworks do not share a process.
            subprocess.run([sys.executable, __file__, engine_name], check=True)
