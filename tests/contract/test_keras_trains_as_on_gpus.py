"""The engines' ways on GPUs, with logical CPU devices in place of GPUs: placing, feeding, running ahead, draining."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import forked
import pytest

from conftest import needs
from stepmark import catalog
from stepmark.orchestrate.folders import leased_ports

SCRIPT = Path(__file__).with_name("keras_as_on_gpus.py")


ENGINES = {"jax": "keras-jax", "keras-2-mirrored": "tf-keras"}
"""The engines of what the script runs; the others are those of `keras-tensorflow`."""


@cache
def run(which: str) -> list[dict[str, Any]]:
    """What each process of the script found: two ranks of multi-worker-mirrored, or one process."""
    engine = ENGINES.get(which, "keras-tensorflow")
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    ranks: list[list[str]] = [[]]
    with ExitStack() as stack:
        if which == "multi-worker-mirrored":
            addresses = [f"127.0.0.1:{port}" for port in stack.enter_context(leased_ports(2))]
            ranks = [[str(rank), *addresses] for rank in range(2)]
        pool = stack.enter_context(ThreadPoolExecutor(len(ranks)))
        ends = list(pool.map(lambda rank: forked.run(engine, SCRIPT, which, *rank), ranks))
    for end in ends:
        assert end.returncode == 0, end.stderr[-3000:]
    return [json.loads(end.stdout.splitlines()[-1]) for end in ends]


def test_jax_trains_on_all_devices_of_its_mesh_and_runs_ahead_within_its_bound() -> None:
    [found] = run("jax")
    assert (found["devices"], found["shares"]) == (2, 2)
    assert found["queue"] == [0, 8, 0]
    assert found["ready"]
    assert found["losses"]["gpu"] == found["losses"]["cpu"] == found["losses"]["fed"]
    assert found["parts"] == ["matmul", "step_without_update"]


@pytest.mark.parametrize("which", ["mirrored", "keras-2-mirrored"])
def test_mirrored_places_every_variable_and_batch_on_the_device_of_its_replica(which: str) -> None:
    [found] = run(which)
    assert found["placed"] == [{"batch": ["CPU:1", "CPU:2"], "variable": ["CPU:1", "CPU:2"]}] * 2
    assert found["single placed"] == [["CPU:1"], ["CPU:1"]]


def test_batches_from_tf_data_are_those_that_would_be_resident() -> None:
    [found] = run("mirrored")
    assert found["losses"]["fed"] == pytest.approx(found["losses"]["resident"], rel=1e-6)
    assert found["single"]["fed"] == pytest.approx(found["single"]["resident"], rel=1e-6)
    assert found["inputs"] == [None, *["tf.data, prefetched to the device"] * 2]
    explicit = ["matmul", "step_without_update"]
    assert found["parts"] == [["input", "matmul"], explicit, ["input", *explicit]]


def test_several_workers_ask_for_nccl_and_train_alike_in_every_variant() -> None:
    for found in run("multi-worker-mirrored"):
        implementation, pack, seconds = found["options"]
        assert (implementation.rpartition(".")[2], pack, seconds) == ("NCCL", 25 * 2**20, 60.0)
        resident, *others = found["losses"].values()
        assert all(losses == pytest.approx(resident, rel=1e-6) for losses in others)
        assert list(found["losses"]) == ["explicit", "explicit, fed", "canonical, fed", "ring, fed"]
        assert found["parts"] == ["all_reduce", "input", "matmul", "step_without_update"]
