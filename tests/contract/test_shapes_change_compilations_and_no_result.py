"""Batches of many lengths: no way to pad them changes a result, and each shape costs the compilations that it must."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import forked
import pytest

from conftest import needs
from contract.shapes import SEQUENCE, SMALL, WAYS
from stepmark import catalog

ENGINES = [name for name in catalog.engine_names() if name != "sleeper"]
LIMIT = 1e-5
"""The largest relative error that parity allows in float32."""


@cache
def seen(engine: str) -> dict[str, Any]:
    """Return what a process of this engine found."""
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    done = forked.run(engine, Path(__file__).with_name("shapes.py"), engine)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", SMALL)
def test_padding_changes_no_logits_losses_gradients_or_weights(engine: str, model: str) -> None:
    errors = {name: error for name, error in seen(engine)["errors"].items() if name.startswith(f"{model} ")}
    assert len(errors) == len(WAYS) - (model != "gpt")
    assert max(errors.values()) < LIMIT, errors


NEW_SHAPES = [len(set(SEQUENCE[: index + 1])) - 1 for index in range(len(SEQUENCE))]
"""How many shapes have come after the first one, after each step."""


@pytest.mark.parametrize("engine", ["keras-jax", "keras-tensorflow"])
def test_a_framework_without_programs_for_any_shape_compiles_or_traces_each(engine: str) -> None:
    assert seen(engine)["counts"]["dynamic-length"] == NEW_SHAPES


@pytest.mark.parametrize("engine", ["torch", "keras-tensorflow"])
def test_a_second_shape_makes_torch_and_a_relaxed_function_compile_for_all_shapes(engine: str) -> None:
    options = "dynamic-length" if engine == "torch" else "dynamic-length dynamic-compile"
    assert seen(engine)["counts"][options] == [min(new, 1) for new in NEW_SHAPES]


def test_torch_compiles_once_for_any_shape_if_it_is_told() -> None:
    assert seen("torch")["counts"]["dynamic-length dynamic-compile"] == [0] * len(SEQUENCE)


@pytest.mark.parametrize("engine", ["keras-jax", "keras-tensorflow"])
def test_padded_batches_compile_once(engine: str) -> None:
    assert seen(engine)["counts"][""] == [0] * len(SEQUENCE)
