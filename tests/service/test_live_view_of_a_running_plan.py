"""`stepmark run --live-listen`: progress and throughput of a plan of known pace, for as long as it runs."""

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from conftest import PATIENCE_SECONDS, CommandLine, needs, wait_for_line
from stepmark.results.store import SqliteStore
from stepmark.telemetry import names

STEP_SECONDS, WORKERS, BATCH = 0.01, 2, 8
SCRIPTED_RATE = WORKERS * BATCH / STEP_SECONDS
MEASUREMENT = {"launches": 2, "minSteps": 450, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
LIVE = {metric.name: metric for metric in names.METRICS if metric.name.startswith("stepmark_live_")}
Series = dict[str, list[tuple[dict[str, str], float]]]


def scrape(url: str) -> tuple[str, dict[str, Metric]]:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        text = answer.read().decode()
    return text, {family.name: family for family in text_string_to_metric_families(text)}


def series(families: dict[str, Metric]) -> Series:
    found: Series = {}
    for family in families.values():
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def rates_of(out: Path, steps: int) -> list[float]:
    """Return the first launch's rates that may be shown after `steps` steps: those of its last 1, 2, 3... of them."""
    store = SqliteStore.open(out)
    try:
        nanoseconds = next(store.records()).step_nanoseconds[0, :steps]
    finally:
        store.close()
    return [WORKERS * BATCH * count / (nanoseconds[-count:].sum() / 1e9) for count in range(1, steps + 1)]


def until(url: str, condition: Callable[[Series], bool], seconds: float = PATIENCE_SECONDS) -> Series:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = series(scrape(url)[1])
        if condition(found):
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s")


def begin(stepmark: CommandLine, launcher: str) -> "tuple[subprocess.Popen[str], str]":
    file = stepmark.scenario(
        workload={"model": "scripted", "params": {"stepSeconds": STEP_SECONDS}},
        scale={"workers": [WORKERS], "batchPerWorker": BATCH},
        measurement=MEASUREMENT,
    )
    running = stepmark.start("run", file, "--launcher", launcher, "--out", "out", "--live-listen", "127.0.0.1:0")
    return running, wait_for_line(running, "live: http").split()[1]


@pytest.mark.parametrize("launcher", ["bare", "ray"])
def test_progress_and_throughput_are_served_while_the_run_lasts(stepmark: CommandLine, launcher: str) -> None:
    if launcher == "ray":
        needs("ray")
    running, url = begin(stepmark, launcher)
    found = until(url, lambda found: "stepmark_live_samples_per_second" in found)
    [(labels, rate)] = found["stepmark_live_samples_per_second"]
    [(_, steps)] = found["stepmark_live_steps_total"]
    assert labels == {
        "scenario": "test", "candidate": "plain", "engine": "sleeper", "strategy": "parallel", "execution": "eager",
        "precision": "float32", "workers": str(WORKERS), "batch": "",
    }  # fmt: skip
    assert found["stepmark_live_cell_info"] == [(labels, 1)]
    assert found["stepmark_live_launches_planned"] == [({"scenario": "test"}, 2)]
    text, families = scrape(url)
    for name, found_series in series(families).items():
        metric = LIVE[name]
        assert f"# TYPE {name} {metric.kind}" in text
        assert f"# HELP {name} {metric.help}" in text
        assert all(tuple(sorted(labels)) == tuple(sorted(metric.labels)) for labels, _ in found_series)
    later = until(url, lambda found: found["stepmark_live_launches_done"][0][1] == 1)
    assert later["stepmark_live_progress_ratio"] == [({"scenario": "test"}, 0.5)]
    assert later["stepmark_live_steps_total"][0][1] >= 450
    running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0
    with pytest.raises(urllib.error.URLError):
        scrape(url)
    recorded = rates_of(stepmark.folder / "out", int(steps))
    assert any(rate == pytest.approx(one, rel=1e-6) for one in recorded), (rate, recorded[-1])
    assert rate <= SCRIPTED_RATE * 1.001  # A busy machine may be slower than its script, and is never faster.


def test_promtool_accepts_the_live_metrics(stepmark: CommandLine) -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("needs promtool (Debian: prometheus)")
    running, url = begin(stepmark, "bare")
    until(url, lambda found: "stepmark_live_cell_info" in found)
    text, _ = scrape(url)
    running.kill()
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_taken_live_address_is_refused_before_anything_runs(stepmark: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = stepmark(
            "run", stepmark.scenario(), "--launcher", "bare", "--out", "out", "--live-listen", f"127.0.0.1:{port}"
        )
    assert done.returncode == 3
    assert "expected a free port" in done.stderr
    refused = stepmark("run", stepmark.scenario(), "--launcher", "bare", "--out", "b", "--live-listen", "9464")
    assert refused.returncode == 2
    assert "expected HOST:PORT" in refused.stderr
