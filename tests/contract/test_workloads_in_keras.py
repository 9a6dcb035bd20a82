"""Keras' own counts of its models' parameters, and the types in which they multiply and compute the loss.

One process, on one backend: that all backends have the same variables is tested with the engines.
"""

import json
from functools import cache
from typing import Any

import forked
import pytest

from conftest import needs
from contract.small_models import SMALL
from stepmark import catalog

CASES = [
    *SMALL.items(),
    ("mlp", {"layers": 3, "hidden": 5}),
    ("resnet", {"depth": 8, "imageSize": 16, "classes": 3}),
    ("resnet", {"depth": 50, "imageSize": 64, "stem": "standard"}),
    ("lstm", {"vocabulary": 11, "embedding": 3, "hidden": 5}),
    ("transformer", {"vocabulary": 11, "length": 6, "layers": 3, "heads": 3, "width": 12, "classes": 7}),
    ("gpt", {"vocabulary": 11, "length": 6, "layers": 3, "heads": 3, "width": 12}),
]

CODE = """
import json, sys
import keras
from stepmark import catalog

for policy in ("float32", "mixed_bfloat16", "float64"):
    keras.config.set_dtype_policy(policy)
    for name, given in json.loads(sys.argv[1]):
        if policy != "float32" and given.get("depth") == 50:
            continue
        workload = catalog.load_workload(name)
        model = workload.keras_model(workload.parse(given))
        print(json.dumps({
            "case": [name, given],
            "policy": policy,
            "parameters": sum(v.value.shape.num_elements() for v in model.trainable_variables),
            "multiplied": model.get_layer("logits").input.dtype,
            "logits": model.output.dtype,
        }))
"""


@cache
def seen() -> list[dict[str, Any]]:
    needs("keras", "tensorflow")
    done = forked.run("keras-tensorflow", CODE, json.dumps(CASES))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(("name", "given"), CASES)
def test_the_parameter_count_is_that_of_the_keras_model(name: str, given: dict[str, Any]) -> None:
    workload = catalog.load_workload(name)
    found = {row["parameters"] for row in seen() if row["case"] == [name, given]}
    assert found == {workload.parameter_count(workload.parse(given))}


@pytest.mark.parametrize(
    ("policy", "multiplied", "logits"),
    [
        ("float32", "float32", "float32"),
        ("mixed_bfloat16", "bfloat16", "float32"),  # torch's autocast does the same.
        ("float64", "float64", "float64"),
    ],
)
def test_the_last_layer_multiplies_in_the_policys_type_and_logits_are_at_least_float32(
    policy: str, multiplied: str, logits: str
) -> None:
    rows = [row for row in seen() if row["policy"] == policy]
    assert {row["case"][0] for row in rows} == {name for name, _ in CASES}
    assert {(row["multiplied"], row["logits"]) for row in rows} == {(multiplied, logits)}
