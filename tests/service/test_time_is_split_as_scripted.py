"""A scripted exchange, update and straggler, through a whole run: the time split finds all of them, in every block."""

import pytest

from conftest import CommandLine

EXCHANGE, LATE, UPDATE = 0.013, 0.015, 0.006


def test_the_time_split_separates_a_late_rank_from_communication(stepmark: CommandLine) -> None:
    params = {
        "stepSeconds": 0.01, "secondsPerAddedWorker": EXCHANGE, "stragglerRank": 1, "stragglerSeconds": LATE,
        "updateSeconds": UPDATE,
    }  # fmt: skip
    file = stepmark.scenario(
        workload={"model": "scripted", "params": params}, scale={"workers": [1, 2], "batchPerWorker": 8}
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 0
    one, two = stepmark.summary(stepmark.folder / "out")["cells"]
    split = two["time_split"]
    assert split["exposed_communication_seconds"]["value"] == pytest.approx(EXCHANGE, rel=0.1)
    assert split["rank_wait_seconds"] == pytest.approx([LATE, 0], abs=0.1 * LATE)
    assert split["update_seconds"]["value"] == pytest.approx(UPDATE, abs=0.1 * LATE)
    assert split["compute_seconds"]["value"] == pytest.approx(0.01 + LATE / 2 - UPDATE, abs=0.1 * LATE)
    assert split["launches"] == two["launches"] > 1
    assert split["step_seconds"]["low"] <= split["step_seconds"]["value"] <= split["step_seconds"]["high"]
    [slow] = two["stragglers"]["slow"]
    assert (slow["rank"], slow["block"]) == (1, None)
    assert slow["slower"] == pytest.approx(LATE / 0.01, rel=0.1)
    assert one["stragglers"] is None
    assert two["utilization"]["mfu"] is None
