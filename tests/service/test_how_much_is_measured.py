"""Blocks are added until the wanted precision is reached, and forked and fresh launches measure the same plan."""

import pytest

from conftest import CommandLine
from stepmark.results.store import SqliteStore


def measurement(**changes: object) -> dict[str, object]:
    few = {"launches": 2, "minSteps": 20, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
    return few | changes


JITTERY = {"model": "scripted", "params": {"stepSeconds": 0.002, "launchJitter": 0.2}}


@pytest.mark.parametrize(
    ("changes", "blocks"),
    [
        ({"maxLaunches": 4, "relativePrecision": 1e-6}, 4),  # It is never precise enough, so all blocks are measured.
        ({"maxLaunches": 8, "relativePrecision": 1.0, "seed": 1}, 5),  # Three blocks look precise, and five confirm it.
        ({"maxLaunches": 4, "relativePrecision": 1e-6, "budgetSeconds": 1}, 2),  # There is no time for more.
        ({"relativePrecision": 1e-6}, 2),  # No block is added unless the scenario asks for it.
    ],
)
def test_blocks_are_added_until_the_result_is_precise_enough(stepmark: CommandLine, changes: dict, blocks: int) -> None:
    slow = {"model": "scripted", "params": {"stepSeconds": 0.02, "launchJitter": 0.2}}
    file = stepmark.scenario(
        workload=slow if "budgetSeconds" in changes else JITTERY, measurement=measurement(**changes)
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 0
    assert stepmark.summary(stepmark.folder / "out")["blocks"] == blocks


def test_fresh_processes_measure_the_same_plan_with_their_own_imports(stepmark: CommandLine) -> None:
    file = stepmark.scenario(scale={"workers": [1, 2], "batchPerWorker": 8})
    for out, options in (("forked", []), ("fresh", ["--fresh-process"])):
        assert stepmark("run", file, "--launcher", "bare", "--out", out, *options).returncode == 0
    forked, fresh = (list(SqliteStore.open(stepmark.folder / out).records()) for out in ("forked", "fresh"))
    assert [r.header.launch_id for r in forked] == [r.header.launch_id for r in fresh]
    assert all(record.header.forked for record in forked)
    assert not any(record.header.forked for record in fresh)


def test_a_run_without_a_measurable_cell_succeeds_and_gives_the_reasons(stepmark: CommandLine) -> None:
    done = stepmark("run", stepmark.scenario(sweep={"execution": ["graph"]}), "--launcher", "bare", "--out", "out")
    assert done.returncode == 0
    assert "1 of 1 cells is unsupported. plain.graph.float32.w1: graph: the sleeper has no graph" in done.stdout


def test_a_launch_that_takes_too_long_is_ended(stepmark: CommandLine) -> None:
    slow = {"model": "scripted", "params": {"startupSeconds": 30}}
    file = stepmark.scenario(workload=slow, measurement=measurement(launchTimeoutSeconds=1))
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 1
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert "the launch ran longer than launchTimeoutSeconds, 1 s" in cell["reason"]


def test_parity_required_gives_no_verdict_without_a_certificate(stepmark: CommandLine) -> None:
    two = [
        {"name": n, "engine": "sleeper", "strategy": "parallel", "variant": v}
        for n, v in (("a", "plain"), ("b", "slower"))
    ]
    params = {"stepSeconds": 0.002, "slowerFactor": 20.0}
    verdicts = {}
    for parity in ("required", "skipped"):
        measurement = {"launches": 7, "minSteps": 20, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
        script = {"model": "scripted", "params": params}
        file = stepmark.scenario(candidates=two, parity=parity, workload=script, measurement=measurement)
        stepmark("run", file, "--launcher", "bare", "--out", parity)
        [comparison] = stepmark.summary(stepmark.folder / parity)["comparisons"]
        verdicts[parity] = comparison["verdict"]
    assert verdicts == {"required": "inconclusive", "skipped": "slower"}
