"""One suite for all pairs: a new file in engines/ or workloads/ is picked up by itself.

Each pair runs in a process of its own, since frameworks do not share one.
"""

import importlib.util
import json
import subprocess
import sys

import pytest

from stepmark import catalog

SMALL = {
    "mlp": {"hidden": 16},
    "resnet": {"depth": 8, "imageSize": 8, "channels": 1, "classes": 10},
    "lstm": {"vocabulary": 20, "length": 6, "embedding": 8, "hidden": 8},
    "scripted": {"stepSeconds": 0.001},
}

PAIRS = [
    (engine, model, execution)
    for engine in catalog.engine_names()
    for model in catalog.workload_names()
    if catalog.load_engine(engine).SUPPORT.framework in catalog.load_workload(model).frameworks()
    for execution, refused in catalog.load_engine(engine).SUPPORT.executions.items()
    if refused is None
]

CODE = """
import json, os, sys
import numpy as np
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches
engine_name, model, execution, precision, params, feed = sys.argv[1:]
module = catalog.load_engine(engine_name)
os.environ.update(module.SUPPORT.environment)
workload = catalog.load_workload(model)
params = workload.parse(json.loads(params))
module.import_framework()
context = RankContext(0, 1, "single", None, execution, precision, (), 1, 7, 7, 0, 60, feed == "host")
engine = module.Engine(context)
engine.join_group()
batches = _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2)
engine.build(workload, params, batches, 0.0625)
before = engine.weights()
losses = []
for index in range(6):
    engine.step(2 * index)  # always the same batch: the loss must fall
    losses.append(engine.synchronize())
compilations = engine.compilations()
engine.step(0)
assert engine.compilations() == compilations, "it compiled again"
after = engine.weights()
engine.load_weights(before)
restored = engine.weights()
engine.step_without_reduce(0)
engine.synchronize()
engine.close()
print(json.dumps({
    "losses": losses,
    "parameters": sum(w.size for w in before.values()),
    "expected": workload.parameter_count(params),
    "moved": any(not np.array_equal(before[k], after[k]) for k in before),
    "restored": all(np.array_equal(before[k], restored[k]) for k in before),
    "names": sorted(before),
    "flags": engine.flags(),
}))
"""


def train(engine: str, model: str, execution: str, precision: str = "float32", data: str = "synthetic") -> dict:
    missing = [m for m in catalog.load_engine(engine).SUPPORT.requires if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"{engine} needs {', '.join(missing)}")
    arguments = [engine, model, execution, precision, json.dumps(SMALL[model]), data]
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("engine", "model", "execution"), PAIRS)
def test_it_builds_steps_and_moves_weights_out_and_in(engine: str, model: str, execution: str) -> None:
    seen = train(engine, model, execution)
    assert seen["restored"]
    assert all(seen["flags"].values())
    if seen["expected"] is not None:
        assert seen["parameters"] == seen["expected"]
        assert seen["moved"]
        assert seen["losses"][-1] < seen["losses"][0]


@pytest.mark.parametrize("engine", [e for e in catalog.engine_names() if e != "sleeper"])
def test_bfloat16_trains_too_and_is_not_float32(engine: str) -> None:
    execution = catalog.load_engine(engine).SUPPORT.default_execution
    mixed, full = (train(engine, "mlp", execution, precision) for precision in ("bfloat16", "float32"))
    assert mixed["losses"][-1] < mixed["losses"][0]
    assert mixed["losses"] != full["losses"]


@pytest.mark.parametrize("engine", [e for e in catalog.engine_names() if e != "sleeper"])
def test_samples_fed_each_step_train_as_resident_ones(engine: str) -> None:
    execution = catalog.load_engine(engine).SUPPORT.default_execution
    fed, resident = (train(engine, "mlp", execution, data=data)["losses"] for data in ("host", "synthetic"))
    assert fed == pytest.approx(resident, rel=1e-5)


@pytest.mark.parametrize("model", [m for m in catalog.workload_names() if m != "scripted"])
def test_weights_have_the_same_names_in_every_engine(model: str) -> None:
    names = [train(engine, model, "eager")["names"] for engine in catalog.engine_names() if engine != "sleeper"]
    assert all(names[0] == other for other in names)
