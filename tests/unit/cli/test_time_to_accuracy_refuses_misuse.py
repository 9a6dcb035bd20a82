"""What `stepmark time-to-accuracy` cannot measure is refused before anything starts, and nothing is written."""

from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, needs
from stepmark.cli.verbs.time_to_accuracy import Wanted, summary_in, time_to_accuracy
from stepmark.errors import CannotRun, ScenarioErrors
from stepmark.results.learning import FILE

LEARNT: dict[str, Any] = {
    "workload": {"model": "mlp"},
    "candidates": [{"name": "torch", "engine": "torch"}],
    "data": {"source": "digits"},
    "target": {"accuracy": 0.9},
}
RESNET = {"model": "resnet", "params": {"depth": 8, "imageSize": 16, "channels": 1, "classes": 10}}


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"target": {}}, CannotRun, "spec.target.accuracy: expected the accuracy to train to, found none"),
        ({"workload": RESNET}, CannotRun, "expected a model without BatchNorm, found resnet"),
        ({"data": {"source": "synthetic"}}, ScenarioErrors, "data.source digits or python-docs"),
        ({"data": {"source": "python-docs"}}, ScenarioErrors, "a model that predicts the next character"),
        ({"target": {"accuracy": 1.5}}, ScenarioErrors, "spec.target.accuracy"),
        ({"target": {"accuracy": 0.9, "maxSteps": 10}}, ScenarioErrors, "evaluateEverySteps of at most maxSteps, 10"),
    ],
)
def test_misuse_is_refused(tmp_path: Path, changes: dict[str, Any], kind: type[Exception], said: str) -> None:
    needs("torch")
    file = CommandLine(tmp_path).scenario(**(LEARNT | changes))
    with pytest.raises(kind) as caught:
        time_to_accuracy(file, Wanted(tmp_path / "out", False, "bare"), as_json=False)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_record_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"launches": [1]}')
    with pytest.raises(CannotRun, match="expected the launches of `stepmark time-to-accuracy`"):
        summary_in(tmp_path)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=f"expected {FILE}, found none"):
        summary_in(tmp_path)
