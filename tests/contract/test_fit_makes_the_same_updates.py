"""Keras' `fit` makes the updates of the written-out loop on every backend, and a planted mistake in it is caught."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import fitted
import forked
import pytest

from conftest import needs
from stepmark import catalog
from stepmark.parity.figures import compare
from stepmark.parity.judge import FLOAT32, MIXED, problem
from stepmark.parity.probe import Trace

ENGINES = ("keras-tensorflow", "keras-torch", "keras-jax")
WITH_EXECUTIONS = ("keras-tensorflow", "keras-jax")
FIT, EXECUTIONS = "fit", "fit+steps-per-execution"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@cache
def facts(folder: Path, engine: str) -> dict[str, dict[str, Any]]:
    """Train everything in one engine, and return what its process printed."""
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    done = forked.run(engine, Path(fitted.__file__), str(folder), engine)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def problem_of(folder: Path, engine: str, own: str, fit: str) -> tuple[Any, str]:
    """Return the figures of a trace of `fit` beside one of the written-out loop, and what is wrong with them."""
    facts(folder, engine)
    reference = Trace.load(folder / f"{engine}.{own}.own.npz")
    found = compare(reference, Trace.load(folder / f"{engine}.{fit}.fit.npz"), slice(None))
    float16 = MIXED["float16"].model_copy(update={"forward_least": 0.0, "gradient_least": 0.0})
    limits = float16 if own.startswith("float16") else FLOAT32
    return found, problem(found, limits, tuple(reference.end), distributed=False)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", fitted.NAMES)
def test_fit_makes_the_updates_of_the_written_out_loop(folder: Path, engine: str, name: str) -> None:
    found, text = problem_of(folder, engine, name, name)
    assert text == "", found


@pytest.mark.parametrize("engine", WITH_EXECUTIONS)
def test_several_steps_in_one_execution_make_the_same_updates(folder: Path, engine: str) -> None:
    found, text = problem_of(folder, engine, "mlp", "executions")
    assert text == "", found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_a_sum_in_fit_is_caught(folder: Path, engine: str) -> None:
    found, text = problem_of(folder, engine, "mlp", "planted")
    assert "gradient off by" in text, found


KINDS = [(engine, FIT) for engine in ENGINES] + [(engine, EXECUTIONS) for engine in WITH_EXECUTIONS]


@pytest.mark.parametrize(("engine", "kind"), KINDS)
def test_a_window_in_one_call_is_the_steps_one_by_one(folder: Path, engine: str, kind: str) -> None:
    found = facts(folder, engine)[kind]
    assert found["apart"] < 1e-6
    assert found["calls"] == ["begun", *["ended"] * (35 if kind == FIT else 3)]
    before, after = found["compilations"]
    assert before == after, "what is proven by single steps is what a window runs"


@pytest.mark.parametrize("engine", ENGINES)
def test_fit_says_what_it_is_and_what_it_cannot_leave_out(folder: Path, engine: str) -> None:
    found = facts(folder, engine)[FIT]
    assert found["flags"]["loop"] == "fit"
    assert found["parts"] == ["matmul"]
    assert "makes whole steps alone" in found["missing"]


@pytest.mark.parametrize("engine", ENGINES)
def test_fit_imports_no_other_backend(folder: Path, engine: str) -> None:
    backend = engine.removeprefix("keras-")
    assert set(facts(folder, engine)[FIT]["modules"]) <= {backend}
