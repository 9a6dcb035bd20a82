"""Each setting of an engine, read back from its framework, is the default there or is in the table of departures."""

import json
from functools import cache
from typing import Any

import forked
import pytest

from conftest import ROOT, needs
from stepmark import catalog
from stepmark.engines._support import Departure

# Each program prints {option: {knob: [what users get, what the engine set]}}, from the framework's signatures and
# attributes. Without an option, that is "".
HEAD = """
import inspect, json, os, sys
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.orchestrate.folders import leased_ports
from stepmark.workloads import _batches

module = catalog.load_engine(sys.argv[1])
module.import_framework()

def built(strategy, variant=None, precision="float32", options=(), optimizer="sgd"):
    with leased_ports(1) as [port]:
        execution = module.SUPPORT.default_execution
        context = RankContext(
            0, 1, strategy, variant, execution, precision, (f"127.0.0.1:{port}",), 1, 7, 7, 0, 60, options=options,
            optimizer=optimizer,
        )
        engine = module.Engine(context)
        engine.join_group()
    workload = catalog.load_workload("mlp")
    params = workload.parse({})
    engine.build(workload, params, _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
    return engine
"""
CODES = {
    "torch": """
import torch
usual = {"tf32": torch.backends.cudnn.allow_tf32, "matmul": torch.get_float32_matmul_precision()}
plain = torch.nn.parallel.DistributedDataParallel
names = ["gradient_as_bucket_view", "forward_sync_buffers", "find_unused_parameters", "static_graph"]
names += ["bucket_bytes_cap", "bucket_bytes_cap_default"]

def settings(*options):
    engine = built("ddp", options=options)
    default, ours = plain(torch.nn.Linear(2, 2)), engine._strategy.ddp
    found = {f"DDP's {name}": [getattr(default, name), getattr(ours, name)] for name in names}
    found["TF32 in convolutions (torch.backends.cudnn.allow_tf32)"] = [usual["tf32"], torch.backends.cudnn.allow_tf32]
    found["matmul precision"] = [usual["matmul"], torch.get_float32_matmul_precision()]
    engine.close()
    return found

print(json.dumps({"": settings(), "bucket-view": settings("bucket-view")}))
""",
    "keras-tensorflow": """
import tensorflow as tf
usual = tf.config.experimental.tensor_float_32_execution_enabled()
engine = built("multi-worker-mirrored", "explicit")
default = tf.distribute.experimental.CommunicationOptions()
ours = engine._strategy.extended._communication_options
found = {name: [str(getattr(default, name)), str(getattr(ours, name))] for name in ("bytes_per_pack", "implementation")}
knob = "TF32 (tf.config.experimental.enable_tensor_float_32_execution)"
found[knob] = [usual, tf.config.experimental.tensor_float_32_execution_enabled()]
print(json.dumps({"": found}))
os._exit(0)  # TensorFlow's threads may hang in an orderly exit.
""",
    "keras-jax": """
import jax
usual = jax.config.jax_default_matmul_precision
built("single")
print(json.dumps({"": {"jax_default_matmul_precision": [usual, jax.config.jax_default_matmul_precision]}}))
""",
}
CODES["tf-keras"] = CODES["keras-tensorflow"]
CELLS = {
    "torch": ("ddp", None, "eager", "float32"),
    "keras-tensorflow": ("multi-worker-mirrored", "explicit", "graph", "float32"),
    "keras-jax": ("single", None, "compiled", "float32"),
    "tf-keras": ("multi-worker-mirrored", "explicit", "graph", "float32"),
}


# Each program prints {argument: [what users get, what the engine set]} of AdamW.
ADAMW_CODES = {
    "torch": """
import math, torch
engine = built("single", optimizer="adamw")
engine.step(0)
[default] = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))]).param_groups
[ours] = engine._optimizer.param_groups
ours["eps"] = f"{ours['eps'] * math.sqrt(1 - ours['betas'][1]):g} / sqrt(1 - beta2^t) in step t"
settings = set(default) - {"params", "lr"}
print(json.dumps({"": {name: [str(default[name]), str(ours[name])] for name in settings}}))
""",
    "keras-jax": """
import keras
ours, default = built("single", optimizer="adamw")._optimizer, keras.optimizers.AdamW().get_config()
ours = ours.get_config() | {"epsilon": f"{ours.epsilon:g}"}
settings = set(default) - {"learning_rate", "name"}
print(json.dumps({"": {name: [str(default[name]), str(ours[name])] for name in settings}}))
""",
}
ADAMW_CODES["tf-keras"] = ADAMW_CODES["keras-jax"]


def departures(engine: str) -> dict[str, Departure]:
    return {one.knob: one for one in catalog.load_engine(engine).SUPPORT.departures_of(*CELLS[engine])}


@cache
def read_back(engine: str, of_adamw: bool = False) -> dict[str, dict[str, tuple[Any, Any]]]:
    support = catalog.load_engine(engine).SUPPORT
    needs(*support.requires)
    done = forked.run(engine, HEAD + (ADAMW_CODES if of_adamw else CODES)[engine], engine)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("engine", CODES)
def test_every_setting_is_the_default_or_stands_in_the_table(engine: str) -> None:
    table = departures(engine)
    for knob, (usual, ours) in read_back(engine)[""].items():
        assert (knob in table) == (usual != ours), (knob, usual, ours)
        if knob in table:
            assert (table[knob].ours, table[knob].usual.partition(":")[0].partition(",")[0]) == (str(ours), str(usual))


@pytest.mark.parametrize("engine", ADAMW_CODES)
def test_every_setting_of_adamw_is_the_default_or_stands_in_the_table(engine: str) -> None:
    kind, support = ("single", None, "eager", "float32"), catalog.load_engine(engine).SUPPORT
    added = set(support.departures_of(*kind, optimizer="adamw")) - set(support.departures_of(*kind))
    found = {f"AdamW's {name}": values for name, values in read_back(engine, of_adamw=True)[""].items()}
    assert {one.knob: [one.usual, one.ours] for one in added} == {
        knob: [usual, ours] for knob, (usual, ours) in found.items() if usual != ours
    }


def test_the_option_bucket_view_changes_only_that_setting() -> None:
    plain, asked = (read_back("torch")[option] for option in ("", "bucket-view"))
    assert {knob for knob in plain if plain[knob] != asked[knob]} == {"DDP's gradient_as_bucket_view"}


def test_the_environment_variable_of_torchs_compiler_stands_in_the_table() -> None:
    for engine in ("torch", "keras-torch"):
        support = catalog.load_engine(engine).SUPPORT
        [one] = [one for one in support.departures if "TORCHINDUCTOR_COMPILE_THREADS" in one.knob]
        assert one.ours == support.environment["TORCHINDUCTOR_COMPILE_THREADS"]


@pytest.mark.parametrize("engine", [name for name in catalog.engine_names() if name != "sleeper"])
def test_every_departure_names_cells_of_its_engine_and_a_reason(engine: str) -> None:
    support = catalog.load_engine(engine).SUPPORT
    forms = {*support.strategies, *(v for s in support.strategies for v in support.variants_of(s))}
    for one in support.departures:
        assert set(one.forms) <= forms
        assert {*one.executions} <= {*support.executions, support.default_execution}
        assert {*one.precisions} <= {*support.precisions}
        assert {*one.optimizers} <= {*support.optimizers}
        assert {*one.options, *one.without_options} <= {*support.options}
        assert all(0 < len(text) <= 400 for text in (one.knob, one.ours, one.usual, one.why))


def test_the_documentation_lists_every_departure() -> None:
    page = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    cells: dict[Departure, list[str]] = {}
    for engine in catalog.engine_names():
        for one in catalog.load_engine(engine).SUPPORT.departures:
            cells.setdefault(one, []).append(f"`{engine}`")
    for one, engines in cells.items():
        kinds = (*one.forms, *one.executions, *one.precisions, *one.devices, *one.optimizers, *one.options)
        without = [f"without `{option}`" for option in one.without_options]
        where = " ".join([", ".join(engines), *(f"`{kind}`" for kind in kinds), *without])
        row = f"| {one.knob} | {where} | {one.ours} | {one.usual} | {one.why} |"
        assert row in page, f"docs/measuring.md lacks this row, or has another one:\n{row}"
