"""Layers that a model calls more than once are compared call by call, and recurrent ones are no random ones."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import forked
import pytest

from conftest import needs
from stepmark.parity.figures import compare
from stepmark.parity.judge import FLOAT32, problem
from stepmark.parity.layers import first_difference
from stepmark.parity.probe import Trace
from stepmark.results.certificate import Figures

MODELS = {  # Outside a compiled step, JAX compiles each operation by itself, which takes seconds a model.
    "keras-torch": ("gpt", "shared", "lstm", "recurrent"),
    "keras-tensorflow": ("gpt", "recurrent"),
    "keras-jax": ("recurrent",),
}
CALLS = {"gpt": ["tokens", "tokens#2"], "shared": ["0", "0#2"], "lstm": ["lstm"]}


Found = tuple[dict[str, Trace], dict[str, Any]]


@pytest.fixture(scope="module")
def found() -> Found:
    """Return the traces, by engine and model, and why engines refuse models."""
    needs("torch", "tensorflow", "keras", "jax")
    with TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        said = dict(zip(MODELS, pool.map(lambda engine: ran(folder, engine), MODELS), strict=True))
        return {file.stem: Trace.load(file) for file in Path(folder).iterdir()}, said


def ran(folder: str, engine: str) -> Any:
    ended = forked.run(engine, Path(__file__).with_name("repeated.py"), folder, engine, *MODELS[engine])
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def compared(found: Found, engine: str, model: str, reference: str = "torch") -> Figures:
    traces, _ = found
    return compare(traces[f"{reference}-{model}"], traces[f"{engine}-{model}"], slice(None))


@pytest.mark.parametrize(
    ("engine", "model"), [("keras-torch", model) for model in CALLS] + [("keras-tensorflow", "gpt")]
)
def test_each_call_of_a_layer_is_compared_with_the_same_call_in_torch(found: Found, engine: str, model: str) -> None:
    errors = {one.layer: one for one in compared(found, engine, model).layers}
    sides = [error for call in CALLS[model] for error in (errors[call].input, errors[call].output)]
    if model == "lstm":
        assert sides.pop() is None  # Torch's layer returns more than one tensor.
    assert all(error is not None and error < 1e-5 for error in sides)


@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax"])
def test_an_own_model_of_recurrent_layers_is_certified(found: Found, engine: str) -> None:
    figures = compared(found, engine, "recurrent", reference="keras-torch")
    assert problem(figures, FLOAT32, (), False) == ""
    layers = [one.layer for one in figures.layers if not one.layer.startswith("time_distributed")]
    assert layers == ["lstm/lstm_cell", "simple_rnn/simple_rnn_cell", "dense_1"]
    assert first_difference(figures.layers, FLOAT32.forward) == ""


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ("lstm", "memory/lstm_cell"),
        ("gru", "gru/gru_cell"),
        ("bidirectional", "bidirectional/simple_rnn_cell"),
        ("noise", "gaussian_noise"),
        ("spatial", "spatial_dropout1d"),
        ("multi-head", "multi_head_attention/dropout"),
        ("attention", "attention"),
        ("own", "stochastic_depth"),
        ("flip", "random_flip"),
    ],
)
def test_a_keras_layer_with_a_rate_is_refused_by_its_name(found: Found, model: str, layer: str) -> None:
    assert (
        f"random in training, so no two engines would compute the same. Build it with a rate of 0 in: {layer}"
        in (found[1]["keras-tensorflow"]["random"][model])
    )


def test_layers_whose_rates_are_0_are_accepted(found: Found) -> None:
    assert set(found[1]["keras-tensorflow"]["still"].values()) == {""}


def test_torchs_lstm_is_refused_for_its_dropout_only(found: Found) -> None:
    said = found[1]["keras-torch"]
    assert (said["random"]["torch"][-8:], said["still"]["torch"]) == ("in: LSTM", "")
