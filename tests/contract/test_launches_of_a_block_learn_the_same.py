"""Launches of one block begin with the same weights and order in every engine, and a planted mistake is found out."""

from pathlib import Path
from typing import Any

import forked
import pytest
import yaml

from conftest import needs, scenario_document
from stepmark.cli.verbs.time_to_accuracy import Wanted, time_to_accuracy
from stepmark.results.learning import LearningRecords

LEARNED = Path(__file__).parent / "learned.py"
GROUPS = {"torch": ("torch", "keras-torch"), "tensorflow": ("keras-tensorflow",), "jax": ("keras-jax",)}


def scenario(folder: Path, *engines: str, **changes: Any) -> Path:
    document = scenario_document(
        workload={"model": "mlp", "params": {"hidden": 32}},
        candidates=[{"name": engine, "engine": engine} for engine in engines],
        scale={"batchPerWorker": 32},
        data={"source": "digits"},
        parity="required",
        **changes,
    )
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def learned(file: Path, folder: Path, backend: str, *more: str) -> LearningRecords:
    """Train in one process the cells of the engines that Keras' backend can share a process with."""
    folder.mkdir()
    ended = forked.run(GROUPS[backend][-1], LEARNED, str(file), str(folder), *GROUPS[backend], *more)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = LearningRecords.load(folder)
    assert found is not None
    return found


def test_launches_of_a_block_begin_alike_in_every_engine_and_those_of_others_do_not(tmp_path: Path) -> None:
    needs("torch", "tensorflow", "jax", "keras", "sklearn")
    target = {"accuracy": 0.9, "evaluateEverySteps": 2, "maxSteps": 4}
    file = scenario(tmp_path, *(name for group in GROUPS.values() for name in group), target=target)
    found = [learned(file, tmp_path / backend, backend) for backend in GROUPS]
    launches = [launch for records in found for launch in records.launches]
    by_block = {block: {one.ranks[0].began_from for one in launches if one.block == block} for block in (0, 1)}
    assert [len(began) for began in by_block.values()] == [1, 1]
    [(weights, order, data)], [(other_weights, other_order, same_data)] = by_block.values()
    assert (weights != other_weights, order != other_order, data == same_data) == (True, True, True)
    correct = {tuple(one.correct for one in launch.ranks[0].evaluations) for launch in launches if launch.block == 0}
    assert len(correct) == 1


def test_pixels_that_keras_scales_twice_are_found_as_another_accuracy_and_as_another_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("torch", "keras", "sklearn")
    target = {"accuracy": 0.85, "evaluateEverySteps": 20, "maxSteps": 60}
    launches = {"launches": 5, "warmupSteps": 1, "warmupSeconds": 0}
    file = scenario(tmp_path, "torch", "keras-torch", target=target, measurement=launches)
    learned(file, tmp_path / "out", "torch", "rescaled")
    time_to_accuracy(file, Wanted(tmp_path / "out", True, "bare"), as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "accuracy differs: keras-torch.eager.float32.w1 ends at" in said
    assert "The two do not compute the same step: keras-torch.eager.float32.w1: not comparable" in said
    assert "forward off by" in said
    assert "keras-torch.eager.float32.w1: an accuracy of 0.85 is not reached in 5 of 5 launches" in said
