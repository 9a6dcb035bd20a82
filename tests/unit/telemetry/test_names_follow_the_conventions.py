"""The table of names: Prometheus' conventions, and nothing on a series that grows without bound."""

import re
import subprocess

import pytest
from example_figures import snapshot
from prometheus_client import CollectorRegistry, generate_latest
from promtool import PROMTOOL, needs_promtool

from conftest import ROOT
from stepmark.telemetry import names
from stepmark.telemetry.collector import HubCollector
from stepmark.telemetry.hub_meters import HubMeters
from stepmark.telemetry.names import METRICS

UNITS = ("_seconds", "_bytes", "_ratio", "_per_second", "_per_sample", "_total", "_info", "_state")
COUNTS = {
    "stepmark_hub_database_up", "stepmark_hub_runs", "stepmark_hub_derivation_queue", "stepmark_hub_configurations",
    "stepmark_hub_configurations_left_out", "stepmark_live_launches_done", "stepmark_live_launches_planned",
}  # fmt: skip


def text() -> str:
    registry = CollectorRegistry()
    HubMeters(registry)
    registry.register(HubCollector(snapshot))
    return generate_latest(registry).decode()


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_a_name_says_its_unit_and_counters_end_in_total(metric: names.Metric) -> None:
    assert re.fullmatch(r"stepmark_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith(UNITS) or metric.name in COUNTS
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")


def test_every_name_is_there_once() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_no_label_grows_with_the_runs() -> None:
    assert not {"run", "run_id", "rank", "attempt", "trial", "step"} & {x for metric in METRICS for x in metric.labels}


def test_a_hub_shows_every_name_of_the_table_and_no_other() -> None:
    shown = set(re.findall(r"^# TYPE (\S+)", text(), flags=re.M))
    assert shown == {metric.name for metric in METRICS if not metric.name.startswith("stepmark_live_")}


@needs_promtool
def test_promtool_finds_nothing_to_criticise() -> None:
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text(), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_names_are_written_out_nowhere_else() -> None:
    """A name that is not of the table would not follow when the table changes."""
    for path in (ROOT / "services").rglob("*.py"):
        if path.name != "names.py":
            found = re.findall(r"stepmark_(?:hub|live|step|run|throughput|verdict|parity)_[a-z_]+", path.read_text())
            assert not found, (path, found)
