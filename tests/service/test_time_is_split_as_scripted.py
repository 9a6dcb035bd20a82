"""A scripted exchange and a scripted straggler, through a whole run: the split finds both."""

import pytest

from conftest import CommandLine

EXCHANGE, LATE = 0.013, 0.015


def test_a_late_rank_is_told_from_communication(stepmark: CommandLine) -> None:
    params = {"stepSeconds": 0.01, "secondsPerAddedWorker": EXCHANGE, "stragglerRank": 1, "stragglerSeconds": LATE}
    file = stepmark.scenario(
        workload={"model": "scripted", "params": params}, scale={"workers": [1, 2], "batchPerWorker": 8}
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 0
    one, two = stepmark.summary(stepmark.folder / "out")["cells"]
    split = two["time_split"]
    assert split["exposed_communication_seconds"] == pytest.approx(EXCHANGE, rel=0.1)
    assert split["rank_wait_seconds"] == pytest.approx([LATE, 0], abs=0.1 * LATE)
    [slow] = two["stragglers"]["slow"]
    assert slow["rank"] == 1
    assert slow["slower"] == pytest.approx(LATE / 0.01, rel=0.1)
    assert one["stragglers"] is None
    assert two["utilization"]["mfu"] is None
