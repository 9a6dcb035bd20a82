"""Every example builds a model that can be measured, where the package that it is made from is installed."""

import json

import forked
import pytest

from conftest import ROOT, needs

EXAMPLES = {
    "convnext_pair:ConvNext": ("torch", "torchvision", {"blocks": 1, "width": 8}),
    "keras_efficientnet:EfficientNet": ("keras-torch", "keras", {}),
    "keras_hub_vit:HubVit": ("keras-torch", "keras_hub", {}),
    "timm_model:Timm": ("torch", "timm", {}),
    "torchvision_vit:Vit": ("torch", "torchvision", {}),
    "transformers_bert:Bert": ("torch", "transformers", {}),
}
CODE = """
import importlib, json, os, sys
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.launch.own_model import check_outputs, facts
from stepmark.workloads._batches import global_batches
name, engine, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, sys.argv[4])
module = catalog.load_engine(engine)
os.environ.update(module.SUPPORT.environment | module.SUPPORT.device_environment.get("cpu", {}))
module.import_framework()
workload = getattr(importlib.import_module(name.partition(":")[0]), name.partition(":")[2])()
params = workload.parse(given)
engine = module.Engine(RankContext(0, 1, "single", None, "eager", "float32", (), 1, 7, 7, 0, 60))
engine.join_group()
engine.build(workload, params, global_batches(workload.input(params), "synthetic", 7, 2, 1), 0.0625)
check_outputs(engine, workload.input(params))
print(facts(engine, workload).model_dump_json())
"""


def test_every_example_is_tested() -> None:
    files = {path.stem for path in (ROOT / "examples").glob("*.py") if "stepmark.workloads import" in path.read_text()}
    assert {name.partition(":")[0] for name in EXAMPLES} == files


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short(name: str) -> None:
    file = name.partition(":")[0]
    lines = (ROOT / "examples" / f"{file}.py").read_text().splitlines()
    assert len(lines) <= (60 if file.endswith("_pair") else 20)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_measured(name: str) -> None:
    engine, package, params = EXAMPLES[name]
    needs(package)
    ended = forked.run(engine, CODE, name, engine, json.dumps(params), str(ROOT / "examples"))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["parameters"] > 1000
    assert found["flops_per_sample"] > 2 * found["parameters"]
