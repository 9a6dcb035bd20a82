"""An asynchronous sleeper through a whole run: its steps are as long as scripted, and a skewed clock is caught.

A loaded machine can only make a stretch of steps longer than its script, so the shortest one is compared. What the
loop and the analysis make of known times is compared within 0.1 % on a clock of the test's own, in
`unit/launch/test_a_device_that_runs_ahead.py`.
"""

from conftest import CommandLine
from stepmark.analysis.job_times import job_times
from stepmark.results.store import SqliteStore

STEP_SECONDS, STEPS, STRETCH = 0.01, 200, 10


def test_steps_that_return_before_they_are_done_are_as_long_as_scripted(stepmark: CommandLine) -> None:
    file = stepmark.scenario(
        workload={"model": "scripted", "params": {"stepSeconds": STEP_SECONDS, "asynchronous": True}},
        measurement={"launches": 2, "minSteps": 20, "maxSteps": STEPS, "minSeconds": 0, "warmupSeconds": 0},
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 0
    store = SqliteStore.open(stepmark.folder / "out")
    times = []
    for record in store.records():
        assert {(w.kind, w.stamp_steps) for w in record.header.ranks[0].windows} == {
            ("warmup", 1),
            ("measured", STRETCH),
        }
        assert record.device_step_nanoseconds is not None
        assert record.device_step_nanoseconds.shape == (1, STEPS)
        times += job_times(record).step_seconds.tolist()
    store.close()
    assert len(times) == 2 * STEPS / STRETCH
    assert STEP_SECONDS <= min(times) <= 1.005 * STEP_SECONDS
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert cell["step_seconds"]["mean"]["value"] >= STEP_SECONDS
    assert cell["step_seconds"]["p5"] <= cell["step_seconds"]["p95"]  # by the device's clock


def test_a_device_whose_clock_is_skewed_gives_no_figures(stepmark: CommandLine) -> None:
    skewed = {"stepSeconds": STEP_SECONDS, "asynchronous": True, "deviceClockFactor": 1.01}
    file = stepmark.scenario(
        workload={"model": "scripted", "params": skewed},
        measurement={"launches": 2, "minSteps": 20, "maxSteps": 40, "minSeconds": 0, "warmupSeconds": 0},
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 1
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert cell["verdict"] == "failed"
    assert "2 of 2 launches invalid: host and device clocks disagree: " in cell["reason"]
    assert cell["step_seconds"] is None
