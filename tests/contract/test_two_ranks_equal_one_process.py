"""Data-parallel training on two ranks reaches the weights of one process at the global batch, in every variant."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stepmark import catalog
from stepmark.orchestrate.folders import leased_ports

CODE = """
import os, sys
import numpy as np
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches
engine, strategy, variant, execution, model, rank, addresses, out = sys.argv[1:]
rank, addresses = int(rank), tuple(addresses.split(","))
module = catalog.load_engine(engine)
os.environ.update(module.SUPPORT.environment)
module.import_framework()
workload = catalog.load_workload(model)
params = workload.parse({})
context = RankContext(rank, len(addresses), strategy, variant or None, execution, "float32", addresses, 1, 7, 7, 0, 60)
e = module.Engine(context)
e.join_group()
batches = _batches.global_batches(workload.input(params), "synthetic", 7, 16, 5)
e.build(workload, params, [_batches.shard(b, rank, len(addresses)) for b in batches], 0.0625)
for index in range(5):
    e.step(index)
e.synchronize()
np.savez(out, **e.weights())
os._exit(0)
"""

WAYS = [
    ("torch", "ddp", "", "eager"),
    ("torch", "ddp", "", "compiled"),
    ("keras-tensorflow", "multi-worker-mirrored", "explicit", "graph"),
    ("keras-tensorflow", "multi-worker-mirrored", "explicit", "compiled"),
    ("keras-tensorflow", "multi-worker-mirrored", "explicit", "eager"),
    ("keras-tensorflow", "multi-worker-mirrored", "canonical", "graph"),
]


def train(way: tuple[str, str, str, str], model: str, ranks: int, folder: Path) -> list[dict[str, np.ndarray]]:
    """The final weights of every rank."""
    with leased_ports(ranks) as ports:
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        outs = [folder / f"{ranks}-{rank}.npz" for rank in range(ranks)]
        commands = [
            [sys.executable, "-c", CODE, *way, model, str(rank), addresses, str(outs[rank])] for rank in range(ranks)
        ]
        started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
        for process in started:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err[-3000:]
    return [dict(np.load(out)) for out in outs]


@pytest.mark.parametrize("model", ["mlp", "lstm"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(part for part in way if part))
def test_two_ranks_equal_one_process(way: tuple[str, str, str, str], model: str, tmp_path: Path) -> None:
    engine, _, _, execution = way
    if model == "lstm" and execution != catalog.load_engine(engine).SUPPORT.default_execution:
        pytest.skip("the default level covers it; the others take a minute each")
    if any(importlib.util.find_spec(m) is None for m in catalog.load_engine(engine).SUPPORT.requires):
        pytest.skip(f"{engine} is not installed")
    [alone] = train((engine, "single", "", execution), model, 1, tmp_path)
    first, second = train(way, model, 2, tmp_path)
    for name, expected in alone.items():
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], expected, rtol=0, atol=1e-6, err_msg=name)
