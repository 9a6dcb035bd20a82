"""Step time of our models against the best-known public ones of the same architecture: target <= 1.02.

    python benchmarks/model_speed.py [NAME...]        needs requirements/bench.txt (make .venv/bench)

Both train in one process, on one core, with the same batch, loss and SGD with momentum. They take turns of a few steps
in ABBA order, so that a machine that changes speed meets both sides; a process' figure is the ratio of the medians.
Processes differ by a few percent, each true to itself, so the interval is over processes. Where the public model is not
quite ours, the ratio is of seconds per FLOP, and the output says so.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import ratio, shown

from stepmark import catalog
from stepmark.workloads import _batches

PROCESSES, TURNS, STEPS = 5, 20, 2
TOKENS = {"vocabulary": 1000, "length": 64, "layers": 4, "heads": 4, "width": 256}
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "torch-resnet50": ("resnet", {"depth": 50, "imageSize": 96}, 4),
    "torch-lstm": ("lstm", {"length": 64, "embedding": 256, "hidden": 256}, 16),
    "torch-transformer": ("transformer", TOKENS, 8),
    "torch-gpt": ("gpt", TOKENS, 8),
    "keras-resnet50": ("resnet", {"depth": 50, "imageSize": 96}, 4),
    "keras-lstm": ("lstm", {"length": 64, "embedding": 256, "hidden": 256}, 16),
    "keras-transformer": ("transformer", TOKENS, 8),
    "keras-gpt": ("gpt", TOKENS, 8),
}
Step = Callable[[], None]


def torch_step(model: Any, batch: Any, logits: Callable[[Any], Any] = lambda out: out) -> Step:
    import torch

    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9)
    inputs, labels = (torch.tensor(part) for part in batch)
    criterion = torch.nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        out = logits(model(inputs))
        criterion(out.flatten(0, -2), labels.flatten()).backward()
        optimizer.step()

    return step


def torch_public(name: str, params: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return torchvision's ResNet-50, a plain nn.LSTM, an nn.TransformerEncoder, or transformers' GPT-2."""
    import torch
    from torch import nn

    if name == "torch-resnet50":
        from torchvision.models import resnet50

        return resnet50(), lambda out: out
    if name == "torch-gpt":
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=params.vocabulary, n_positions=params.length, n_embd=params.width, n_layer=params.layers,
            n_head=params.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
        )  # fmt: skip
        return GPT2LMHeadModel(config), lambda out: out.logits

    class Lstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(params.vocabulary, params.embedding)
            self.lstm = nn.LSTM(params.embedding, params.hidden, batch_first=True)
            self.fc = nn.Linear(params.hidden, params.classes)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.fc(self.lstm(self.embedding(tokens))[0][:, -1])

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(params.vocabulary, params.width)
            self.positions = nn.Embedding(params.length, params.width)
            layer = nn.TransformerEncoderLayer(
                params.width, params.heads, 4 * params.width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, params.layers, nn.LayerNorm(params.width), False)
            self.fc = nn.Linear(params.width, params.classes)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return self.fc(self.encoder(x).mean(1))

    return (Lstm() if name == "torch-lstm" else Encoder()), lambda out: out


def keras_step(model: Any, batch: Any) -> Step:
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    inputs, labels = (tf.convert_to_tensor(part) for part in batch)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = criterion(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return lambda: step().numpy()


def keras_public(name: str, params: Any) -> Any:
    """Return keras.applications' ResNet-50, or an LSTM or transformer as in Keras' own examples (keras.io)."""
    import keras
    from keras import layers, ops

    if name == "keras-resnet50":
        return keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3), classifier_activation=None)
    inputs = keras.Input((params.length,), dtype="int32")
    if name == "keras-lstm":
        x = layers.LSTM(params.hidden)(layers.Embedding(params.vocabulary, params.embedding)(inputs))
        return keras.Model(inputs, layers.Dense(params.classes)(x))

    class TokenAndPosition(layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token = layers.ReversibleEmbedding(params.vocabulary, params.width)
            self.position = layers.Embedding(params.length, params.width)

        def call(self, x: Any) -> Any:
            return self.token(x) + self.position(ops.arange(0, params.length))

    embedding = TokenAndPosition()
    x = embedding(inputs)
    for _ in range(params.layers):
        norm = layers.LayerNormalization(epsilon=1e-5)(x)
        attention = layers.MultiHeadAttention(params.heads, params.width // params.heads)
        x = x + attention(norm, norm, use_causal_mask=name == "keras-gpt")
        hidden = layers.Dense(4 * params.width, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = x + layers.Dense(params.width)(hidden)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    if name == "keras-gpt":
        return keras.Model(inputs, embedding.token(x, reverse=True))
    return keras.Model(inputs, layers.Dense(params.classes)(layers.GlobalAveragePooling1D()(x)))


def sides(name: str) -> tuple[Step, Step, float]:
    """Return our step, the public one, and the public model's FLOPs over ours."""
    model, given, batch_size = CASES[name]
    workload: Any = catalog.load_workload(model)
    params = workload.parse(given)
    inputs, labels = _batches.global_batches(workload.input(params), "synthetic", 0, batch_size, 1)[0]
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(1)
        public, logits = torch_public(name, params)
        batch = (inputs, labels)
        return torch_step(workload.torch_model(params), batch, lambda out: out), torch_step(public, batch, logits), 1.0
    os.environ.update(catalog.load_engine("keras-tensorflow").SUPPORT.environment)
    if inputs.ndim == 4:
        inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    ours, public = workload.keras_model(params), keras_public(name, params)
    flops = flops_of(public) / flops_of(ours) if name == "keras-resnet50" else 1.0
    return keras_step(ours, (inputs, labels)), keras_step(public, (inputs, labels)), flops


def flops_of(model: Any) -> float:
    """Return the multiply-adds of a Keras model's convolutions, from their kernels and outputs."""
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    return float(sum(np.prod(c.kernel.shape) * c.output.shape[1] * c.output.shape[2] for c in convolutions))


def seconds_of(step: Step) -> list[float]:
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def one_process(name: str) -> None:
    """Print our median step time, and the public one for the same FLOPs."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    *both, flops = sides(name)
    for step in both:
        seconds_of(step)
    times: list[list[float]] = [[], []]
    for turn in range(TURNS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            times[which] += seconds_of(both[which])
    print(json.dumps([float(np.median(times[0])), float(np.median(times[1])) / flops, flops]))


def main(name: str) -> None:
    runs = []
    for _ in range(PROCESSES):
        command = [sys.executable, __file__, "--one-process", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    ours, public, flops = (list(column) for column in zip(*runs, strict=True))
    note = f" per FLOP (the public one has {flops[0]:.3f} of ours)" if flops[0] != 1 else ""
    print(f"{name}: ours {1e3 * np.median(ours):.0f} ms; ours / public{note} {shown(ratio(ours, public))}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one-process"]:
        one_process(sys.argv[2])
    else:
        for case in sys.argv[1:] or CASES:
            main(case)
