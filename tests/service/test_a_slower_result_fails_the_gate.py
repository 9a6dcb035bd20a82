"""`compare` and `forecast` on real results; the sleeper's step times are those of its script."""

import json
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import CommandLine
from stepmark.results.store import Run, SqliteStore

MEASUREMENT = {"launches": 3, "minSteps": 10, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0}


def measured(stepmark: CommandLine, out: str, seconds: float = 0.01, batch: int = 8, seed: int = 0) -> None:
    file = stepmark.scenario(
        workload={"model": "scripted", "params": {"stepSeconds": seconds}},
        scale={"workers": [1], "batchPerWorker": batch},
        measurement={
            "launches": 3,
            "minSteps": 10,
            "minSeconds": 0,
            "warmupSteps": 1,
            "warmupSeconds": 0,
            "seed": seed,
        },
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", out).returncode == 0


def record_step_seconds(folder: Path, seconds: float) -> None:
    """Change the recorded scenario to a script of other step times, as if the software had become slower or faster."""
    with closing(SqliteStore.open(folder)) as store:
        document, records = store.run().model_dump(), list(store.records())
    document["scenario"]["spec"]["workload"]["params"]["stepSeconds"] = seconds
    (folder / "results.db").unlink()
    with closing(SqliteStore.create(folder, Run.model_validate(document))) as store:
        for record in records:
            store.append(record)


def test_compare_finds_a_slower_result_and_forecast_extrapolates(stepmark: CommandLine) -> None:
    measured(stepmark, "old")
    measured(stepmark, "same", seed=1)
    measured(stepmark, "slow", seconds=0.012)
    measured(stepmark, "batch", batch=16)
    record_step_seconds(stepmark.folder / "slow", 0.01)

    same = stepmark("compare", "old", "same", "--minimum-effect", "0.05")
    assert same.returncode == 0, same.stdout
    assert "gate passed" in same.stdout
    assert "changed: measurement.seed: 0 -> 1" in same.stdout

    assert "warning: no history" in same.stdout
    for name, seconds in (("earlier/1", 0.013), ("earlier/2", 0.008)):
        measured(stepmark, name, seconds=seconds)
        record_step_seconds(stepmark.folder / name, 0.01)
    known = stepmark(
        "compare", "old", "slow", "--history", "earlier", "--history", "same", "--history", "batch", "--json"
    )
    assert known.returncode == 0, known.stderr
    report = json.loads(known.stdout)
    assert report["history"]["used"] == ["earlier/1", "earlier/2", "same"]
    assert report["history"]["left_out"][0]["folder"] == "batch"
    assert report["cells"][0]["campaign_spread"] == pytest.approx(0.2, rel=0.15)
    assert report["warnings"] == []

    slow = stepmark("compare", "old", "slow", "--json", "--junit", "gate.xml")
    assert slow.returncode == 1
    cell = json.loads(slow.stdout)["cells"][0]
    assert cell["verdict"] == "slower"
    assert cell["ratio"]["value"] == pytest.approx(1.2, rel=0.05)
    assert len(ElementTree.parse(stepmark.folder / "gate.xml").findall(".//failure")) == 1

    batch = stepmark("compare", "old", "batch")
    assert batch.returncode == 2
    assert "batch_per_worker: expected 8 as in the old run, found 16 in the new one" in batch.stderr

    ahead = stepmark("forecast", "old", "--workers", "64", "--workers-per-node", "1", "--json")
    assert ahead.returncode == 0
    predicted = json.loads(ahead.stdout)["curves"][0]["predicted"][0]
    assert predicted["global_batch"] == 512
    assert any("measure 2 workers on two nodes" in warning for warning in predicted["warnings"])
