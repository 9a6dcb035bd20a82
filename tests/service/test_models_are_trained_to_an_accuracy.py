"""`stepmark time-to-accuracy` trains real models to an accuracy, proves them first, and keeps every learning curve."""

import json
from pathlib import Path

from conftest import CommandLine, needs
from stepmark.results.learning import LearningRecords

OWN_MODEL = """
from torch import nn
from stepmark.workloads import InputSpec, TorchModel

class Net(TorchModel):
    sample = InputSpec("vector", (64,), 10)

    def build(self, params):
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
"""
TARGET = {"accuracy": 0.6, "evaluateEverySteps": 10, "maxSteps": 40}


def scenario(stepmark: CommandLine, **changes: object) -> Path:
    return stepmark.scenario(
        **{
            "workload": {"model": "mlp", "params": {"hidden": 32}},
            "candidates": [{"name": "torch", "engine": "torch"}, {"name": "keras", "engine": "keras-tensorflow"}],
            "scale": {"batchPerWorker": 32},
            "data": {"source": "digits"},
            "target": TARGET,
            "measurement": {"launches": 2, "warmupSteps": 2, "warmupSeconds": 0},
            "parity": "required",
            **changes,
        }
    )


def test_torch_and_keras_reach_the_same_accuracy_and_are_proven_first(stepmark: CommandLine) -> None:
    needs("torch", "tensorflow", "keras", "sklearn")
    file = scenario(stepmark)
    done = stepmark("time-to-accuracy", file, "--launcher", "bare", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stderr.index("parity [2/2]") < done.stderr.index("launch [1/4]")
    records = LearningRecords.load(stepmark.folder / "out")
    assert records is not None
    assert [certificate.text for certificate in records.certificates] == ["certified"] * 2

    again = stepmark("time-to-accuracy", file, "--launcher", "bare", "--out", "out", "--resume", "--json")
    assert (again.returncode, again.stderr) == (0, "")
    found = json.loads(again.stdout)
    assert (found["blocks"], found["train_samples"], found["test_samples"]) == (2, 1437, 360)
    for one in found["results"]:
        assert (one["state"], one["launches"], one["joules"]) == ("reached", 2, None)
        assert one["accuracy"]["value"] >= 0.6
        assert 0 < one["seconds"]["value"] < 60
        assert one["steps"]["value"] <= 40
    began = {(launch.block, launch.ranks[0].began_from) for launch in records.launches}
    assert len(began) == 2
    assert {one["reason"] for one in found["comparisons"]} == {
        "a claim needs 5 blocks with both sides, and there are 2"
    }


def test_two_ranks_share_the_samples_and_count_what_both_predict(stepmark: CommandLine) -> None:
    needs("torch", "sklearn")
    file = scenario(
        stepmark,
        candidates=[{"name": name, "engine": "torch", "strategy": name} for name in ("single", "ddp")],
        scale={"workers": [1, 2], "mode": "strong", "globalBatch": 32},
        parity="skipped",
    )
    done = stepmark("time-to-accuracy", file, "--launcher", "bare", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    records = LearningRecords.load(stepmark.folder / "out")
    assert records is not None
    ends = {
        (launch.cell.split(".")[0], len(launch.ranks)): [one.correct for one in launch.ranks[0].evaluations]
        for launch in records.launches
        if launch.block == 0
    }
    assert set(ends) == {("single", 1), ("ddp", 1), ("ddp", 2)}
    assert ends["ddp", 2] == ends["single", 1] == ends["ddp", 1]
    assert all(len({rank.began_from for rank in launch.ranks}) == 1 for launch in records.launches)


def test_a_model_in_ones_own_file_is_trained_and_resumed_only_as_it_was(stepmark: CommandLine) -> None:
    needs("torch", "sklearn")
    own = stepmark.folder / "my_model.py"
    own.write_text(OWN_MODEL)
    model, candidates = {"model": "local/net"}, [{"name": "torch", "engine": "torch"}]
    file = scenario(stepmark, workload=model, candidates=candidates, parity="skipped")
    command = ("time-to-accuracy", file, "--out", "out", "--workload", f"{own}:Net")
    done = stepmark(*command)
    assert done.returncode == 0, done.stderr
    own.write_text(OWN_MODEL + "# changed\n")
    refused = stepmark(*command, "--resume")
    assert (refused.returncode, "expected workload_origin as in the first part" in refused.stderr) == (3, True)
    started = stepmark("first-step", file, "--out", "starts", "--blocks", 1, "--workload", f"{own}:Net")
    assert (started.returncode, "[3/3]" in started.stderr) == (0, True), started.stderr
