"""A single worker exchanges nothing: its step without the exchange is its step, for which nothing is compiled again."""

import forked
import pytest

from conftest import needs
from stepmark import catalog

CODE = """
import socket, sys
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches
module = catalog.load_engine(sys.argv[1])
module.import_framework()
_, name, level, strategy, variant = sys.argv
with socket.create_server(("127.0.0.1", 0)) as free:
    addresses = (f"127.0.0.1:{free.getsockname()[1]}",)
engine = module.Engine(RankContext(0, 1, strategy, variant or None, level, "float32", addresses, 1, 7, 7, 0, 60))
engine.join_group()
workload = catalog.load_workload("mlp")
params = workload.parse({})
engine.build(workload, params, _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
engine.step(0)
engine.synchronize()
before = engine.compilations()
engine.step_without_reduce(1)
engine.synchronize()
print(before, engine.compilations())
"""


@pytest.mark.parametrize(
    ("name", "level", "strategy", "variant"),
    [
        ("keras-tensorflow", "graph", "single", ""),
        ("keras-tensorflow", "graph", "multi-worker-mirrored", "explicit"),
        ("tf-keras", "graph", "single", ""),
        ("keras-jax", "compiled", "single", ""),
        ("keras-jax", "compiled", "data-parallel", ""),
    ],
)
def test_the_step_without_exchange_of_a_single_worker_compiles_nothing(
    name: str, level: str, strategy: str, variant: str
) -> None:
    needs(*catalog.load_engine(name).SUPPORT.requires)
    done = forked.run(name, CODE, name, level, strategy, variant)
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = done.stdout.split()[-2:]
    assert int(before) > 0
    assert after == before
