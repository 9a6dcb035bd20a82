"""Each engine is fed in each way that it has: the same samples reach the device in the same order, and are transformed.

Each engine feeds in a process of its own (fed.py); the tests look at what it saw.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import fed
import forked
import pytest

from conftest import needs
from stepmark import catalog
from stepmark.terms import Transform
from stepmark.workloads import _batches
from stepmark.workloads._transforms import transformed

ENGINES = [name for name in catalog.engine_names() if name != "sleeper"]
WAYS = [(engine, way) for engine in ENGINES for way in fed.ways(catalog.load_engine(engine).SUPPORT)]


@cache
def seen(engine: str) -> dict[str, dict[str, Any]]:
    """Return what the engine saw, by job."""
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    done = forked.run(engine, Path(fed.__file__), engine)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {json.dumps(line["job"]): line for line in lines}


def job(engine: str, way: str, samples: tuple[str, Transform, int]) -> dict[str, Any]:
    return seen(engine)[json.dumps([way, *samples])]


def expected(model: str, transform: Transform, accumulate: int) -> str:
    whole = [transformed(transform, batch) for batch in fed.drawn(model)]
    parts = [part for batch in _batches.micro_batches(whole, accumulate) for part in batch]
    return fed.digest(parts * fed.ROUNDS)


@pytest.mark.parametrize("samples", fed.SAMPLES)
@pytest.mark.parametrize(("engine", "way"), WAYS)
def test_the_same_samples_reach_the_device_in_the_same_order(
    engine: str, way: str, samples: tuple[str, Transform, int]
) -> None:
    assert job(engine, way, samples)["digest"] == expected(*samples)


@pytest.mark.parametrize(("engine", "way"), WAYS)
def test_a_step_out_of_turn_has_the_batch_of_its_number(engine: str, way: str) -> None:
    samples = fed.SAMPLES[0]
    assert job(engine, way, samples)["loss"] == pytest.approx(job(engine, "", samples)["loss"], rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_way_says_how_it_feeds_and_that_arrays_are_copied(engine: str) -> None:
    own = fed.ways(catalog.load_engine(engine).SUPPORT)
    flags = [job(engine, way, fed.SAMPLES[0])["flags"] for way in own]
    assert len({one["input"] for one in flags}) == len(own)
    assert {(one["input_transform"], one["input_copied"]) for one in flags} == {("spectrogram", "yes")}


@pytest.mark.parametrize(("engine", "way"), WAYS)
def test_an_error_in_a_pipeline_is_named(engine: str, way: str) -> None:
    said = seen(engine)[json.dumps([way, "fault"])]["said"]
    assert said == "the input pipeline failed: ValueError: the sample is broken"
