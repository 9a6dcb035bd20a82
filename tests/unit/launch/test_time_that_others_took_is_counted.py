"""The kernel's counters, read at a window's edges: the times that they give, and what stays unknown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stepmark.launch import interference
from stepmark.launch.interference import Meter, cpu_cgroups, cpu_seconds, throttled_seconds

STAT = """cpu  100 0 100 700 10 5 5 80 7 0
cpu0 30 10 20 350 5 40 50 60 7 0
cpu1 70 0 80 350 5 1 2 20 0 0
intr 99 1 2
"""


def test_cpu_time_is_that_of_the_ranks_own_cores_alone() -> None:
    first = cpu_seconds(STAT, frozenset({0}))
    assert first is not None
    assert (first.busy, first.steal, first.everything) == pytest.approx((0.6, 0.6, 5.65))
    both = cpu_seconds(STAT, frozenset({0, 1}))
    assert both is not None
    assert (both.busy, both.steal) == pytest.approx((2.1, 0.8))


@pytest.mark.parametrize("stat", ["", "cpu  1 2 3\n", "cpu0 1 2 3 4\n", STAT.replace("cpu0", "cpu7")])
def test_the_cpu_time_of_a_core_without_counters_is_unknown(stat: str) -> None:
    assert cpu_seconds(stat, frozenset({0})) is None


def test_throttled_seconds_are_read_from_both_versions_of_cgroups() -> None:
    assert throttled_seconds("usage_usec 5\nnr_throttled 3\nthrottled_usec 1500000\n") == 1.5
    assert throttled_seconds("nr_periods 7\nnr_throttled 3\nthrottled_time 2500000000\n") == 2.5
    assert throttled_seconds("usage_usec 5\n") is None


def test_the_folders_of_a_cgroups_counters_are_found_in_both_versions() -> None:
    root = interference.CGROUPS
    assert cpu_cgroups("0::/kubepods/pod1\n") == [root / "kubepods/pod1", root]
    assert root / "cpu/a" in cpu_cgroups("3:cpuset:/\n2:cpu,cpuacct:/a\n0::/\n")
    assert cpu_cgroups("") == []


def test_a_counter_that_a_system_does_not_show_is_none_and_not_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interference, "PROC", tmp_path)
    meter = Meter((0, 1), limit_share=0.05)
    with meter.measuring():
        pass
    assert meter.found is not None
    unknown = ("busy_cpu_seconds", "steal_seconds", "run_delay_seconds", "throttled_seconds", "stopped_seconds")
    assert [getattr(meter.found, name) for name in unknown] == [None] * 5
    assert (meter.found.cores, meter.found.limit_share) == (2, 0.05)


def test_the_busy_time_of_counters_that_stand_still_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    monkeypatch.setattr(interference, "PROC", tmp_path)
    meter = Meter((0,), limit_share=0.05)
    with meter.measuring():
        pass
    assert meter.found is not None
    assert meter.found.busy_cpu_seconds is None


def test_the_time_of_children_counts_as_own_time_and_waiting_for_a_core_is_seen() -> None:
    """This is measured in a process of its own, since the test's process has children that come and go."""
    core = min(os.sched_getaffinity(0))
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(core)], capture_output=True, text=True, check=True, timeout=240
    )
    seen = interference.Interference.model_validate_json(measured.stdout)  # type: ignore[attr-defined]
    assert seen.own_cpu_seconds is not None
    assert seen.own_cpu_seconds >= 0.4  # 0.2 s of its own, and 0.2 s of its child
    assert seen.run_delay_seconds  # both processes wanted the same core


_MEASURED = """
import os, subprocess, sys, time
from stepmark.launch.interference import Meter
core = int(sys.argv[1])
os.sched_setaffinity(0, {core})
spin = "import time\\nend = time.process_time() + 0.2\\nwhile time.process_time() < end: pass"
meter = Meter((core,), 0.05)
with meter.measuring():
    child = subprocess.Popen([sys.executable, "-c", spin])
    exec(spin)
    child.wait()
print(meter.found.model_dump_json())
"""
