"""Every refusal says where, what was expected, what was found and what to change, and never a traceback."""

import json
import re

import pytest
import yaml

from conftest import scenario_document
from stepmark.errors import ScenarioErrors
from stepmark.scenario.load import MAX_BYTES, MAX_VALUES, scenario_from_object, scenario_from_text


def refusal(text: str) -> str:
    with pytest.raises(ScenarioErrors) as caught:
        scenario_from_text(text)
    return str(caught.value)


def changed(path: str, value: object) -> str:
    document = scenario_document()
    target: dict = document
    *parents, last = path.split(".")
    for part in parents:
        target = target[part]
    target[last] = value
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x", "line 1: expected no YAML anchors or aliases"),
        ("kind: a\nkind: b", "line 2: expected each key once, found 'kind' twice"),
        ("a: 1\n---\nb: 2", "line 2: expected one document, found a second one"),
        ("[1, 2", "expected YAML"),
        ("just words", "expected a mapping with apiVersion, kind, metadata, spec, found str"),
        ("", "found NoneType"),
        ("x: " + "[" * 40 + "]" * 40, "expected at most 16 levels"),
        ("x" * (MAX_BYTES + 1), f"expected at most {MAX_BYTES} bytes"),
        ("1: 2", "expected a plain text key"),
        ("a: !!python/object/apply:os.system [id]", "expected no YAML tags, found 'tag:yaml.org,2002:python/object"),
        ("a: !!binary x", "line 1: expected no YAML tags, found 'tag:yaml.org,2002:binary'"),
        ("a: !!set {b}", "expected no YAML tags"),
        ("a: !!timestamp 2001-01-01", "expected no YAML tags"),
        ("a: !!timestamp foo", "expected no YAML tags"),
        ("a: !!bool foo", "expected no YAML tags"),
        ("a: !!int ''", "expected no YAML tags"),
        ("a: !!float ''", "expected no YAML tags"),
        ("!!map [a]", "expected no YAML tags"),
        ("a: ! b", "expected no YAML tags"),
        ('a: "\\Uffffffff"', "expected values that YAML can hold, found OverflowError"),
        ("a: [" + "1," * MAX_VALUES + "]", f"expected at most {MAX_VALUES} keys and values"),
        ("a: " + "9" * 5000, "expected values that YAML can hold"),
    ],
)
def test_dangerous_yaml_is_refused_with_the_reason(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.wrokload", 1, "spec.wrokload: expected one of the keys"),
        ("spec.measurement.lanches", 1, "Did you mean 'launches'?"),
        ("spec.measurement.min_steps", 1, "Did you mean 'minSteps'?"),
        ("metadata.lables", {}, "Did you mean 'labels'?"),
        ("spec.measurement.launches", "5", "spec.measurement.launches: expected a whole number, found '5'"),
        ("spec.measurement.launches", 1, "expected a number of at least 2, found 1"),
        ("spec.measurement.launches", 101, "expected a number of at most 100"),
        ("spec.measurement.minSeconds", float("nan"), "spec.measurement.minSeconds: expected a finite number"),
        ("spec.measurement.maxSteps", 3, "expected maxSteps of at least minSteps, 20"),
        ("spec.scale.workers", [], "spec.scale.workers: expected at least 1 entries"),
        ("spec.scale.workers", [1, 1], "spec.scale.workers: expected each value once"),
        ("spec.scale.workers", [True], "spec.scale.workers[0]: expected a whole number"),
        ("spec.scale.globalBatch", 8, "expected batchPerWorker or batchesPerWorker alone, since mode is weak"),
        ("spec.workload.model", "alexnet", "spec.workload.model: expected one of the models: "),
        ("spec.workload.params.stepSecond", 1, "Did you mean 'stepSeconds'?"),
        ("spec.workload.params.stepSeconds", [1], "spec.workload.params.stepSeconds: expected text, a number, true or"),
        ("spec.workload.params.stepSeconds", -1, "spec.workload.params.stepSeconds: expected a number above 0"),
        (
            "spec.sweep",
            {"execution": ["fast"]},
            "spec.sweep.execution[0]: expected 'default', 'eager', 'graph' or 'compiled'",
        ),
        ("spec.data", {"source": "digits"}, "spec.data.source: expected a model that takes the 8x8 digits"),
        ("metadata.name", "Not_A_Name", "metadata.name: expected text like"),
        ("metadata.name", "x" * 41, "metadata.name: expected at most 40 characters"),
        ("apiVersion", "v1", "apiVersion: expected 'stepmark.dev/v1alpha1', found 'v1'"),
        ("spec.candidates", [], "spec.candidates: expected at least 1 entries"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_its_path(path: str, value: object, said: str) -> None:
    assert said in refusal(changed(path, value))


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ({"engine": "sleeper", "strategy": "ddp"}, "expected a strategy of sleeper (single, parallel), found 'ddp'"),
        ({"engine": "torch", "strategy": "ddp"}, "expected an engine that scripted is written for (sleeper)"),
        ({"engine": "sleeper", "variant": "x"}, "expected a variant of sleeper single (plain, slower), found 'x'"),
        ({"engine": "../../etc"}, "spec.candidates[0].engine: expected one of the engines"),
    ],
)
def test_a_candidate_with_an_impossible_combination_is_refused(candidate: dict, said: str) -> None:
    assert said in refusal(changed("spec.candidates", [{"name": "a", **candidate}]))


def test_all_refusals_of_a_document_are_reported_at_once() -> None:
    document = scenario_document(scale={"workers": [0], "batchPerWorker": 0})
    with pytest.raises(ScenarioErrors) as caught:
        scenario_from_object(document)
    assert len(caught.value.errors) == 2


def test_of_thousands_of_refusals_the_first_are_shown_in_a_readable_length() -> None:
    candidates = [{"name": "a", "engine": "x" * 500, "k" * 300: "\x1b" * 50}] * 200
    text = json.dumps(scenario_document(candidates=candidates))
    with pytest.raises(ScenarioErrors) as caught:
        scenario_from_text(text)
    assert len(caught.value.errors) <= 50
    said = str(caught.value)
    assert len(said) < 21_000
    assert re.fullmatch(r"Problems not shown: \d+\. Correct these first\.", said.splitlines()[-1])


def test_nothing_in_a_scenario_names_an_image_command_path_or_variable() -> None:
    for key in ("image", "command", "env", "path", "module", "args"):
        assert f"spec.{key}: expected one of the keys" in refusal(changed(f"spec.{key}", "x"))
