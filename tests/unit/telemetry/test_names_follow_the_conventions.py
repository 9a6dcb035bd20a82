"""The table of metric names follows Prometheus' conventions, and no label grows without bound."""

import re
import subprocess

import pytest
from example_figures import snapshot
from prometheus_client import CollectorRegistry, generate_latest
from promtool import PROMTOOL, needs_promtool

from conftest import ROOT
from stepmark.controller.meters import Meters
from stepmark.controller.reasons import ENDINGS
from stepmark.telemetry import names
from stepmark.telemetry.collector import HubCollector
from stepmark.telemetry.hub_meters import HubMeters
from stepmark.telemetry.names import METRICS

UNITS = ("_seconds", "_bytes", "_ratio", "_per_second", "_per_sample", "_hertz", "_watts", "_total", "_info", "_state")
COUNTS = {
    "stepmark_hub_database_up", "stepmark_hub_damaged", "stepmark_hub_runs", "stepmark_hub_derivation_queue",
    "stepmark_hub_configurations",
    "stepmark_hub_configurations_left_out", "stepmark_live_launches_done", "stepmark_live_launches_planned",
    "stepmark_controller_scenarios", "stepmark_controller_namespace_listed", "stepmark_controller_active",
    "stepmark_recompiles",
}  # fmt: skip


def text() -> str:
    registry = CollectorRegistry()
    HubMeters(registry)
    registry.register(HubCollector(snapshot))
    return generate_latest(registry).decode()


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_a_metric_name_says_its_unit_and_only_counters_end_in_total(metric: names.Metric) -> None:
    assert re.fullmatch(r"stepmark_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith(UNITS) or metric.name in COUNTS
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")


def test_every_metric_name_is_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_no_label_has_more_values_the_more_runs_there_are() -> None:
    assert not {"run", "run_id", "rank", "attempt", "trial", "step"} & {x for metric in METRICS for x in metric.labels}


def test_a_hub_exposes_every_metric_of_the_table_that_is_its_own_and_no_other() -> None:
    shown = set(re.findall(r"^# TYPE (\S+)", text(), flags=re.M))
    others = ("stepmark_live_", "stepmark_controller_")
    assert shown == {metric.name for metric in METRICS if not metric.name.startswith(others)}


def test_a_controllers_metrics_have_the_kind_help_and_labels_of_the_table() -> None:
    registry = CollectorRegistry()
    meters = Meters(registry)
    meters.ticked(0.1, {})
    meters.error("api")
    meters.namespace("team", well=True)
    meters.event("Complete")
    labels = {sample.name: tuple(sample.labels) for family in registry.collect() for sample in family.samples}
    for metric in (metric for metric in METRICS if metric.name.startswith("stepmark_controller_")):
        [found] = [family for family in registry.collect() if metric.name in (family.name, f"{family.name}_total")]
        shown = labels[f"{metric.name}_count" if metric.kind == "histogram" else metric.name]
        assert (found.type, found.documentation, shown) == (metric.kind, metric.help, metric.labels)


def test_irregular_endings_are_those_that_are_tried_again_and_refusals_of_our_objects() -> None:
    trouble = {reason for reason, ending in ENDINGS.items() if ending.then == "retry"} - {"Stopped"}
    assert set(ENDINGS) - set(names.REGULAR_ENDINGS.split("|")) == trouble | {"RejectedByKubeRay", "NameTaken"}


@needs_promtool
def test_promtool_accepts_the_exposed_metrics() -> None:
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text(), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_metric_names_are_written_out_only_in_the_table() -> None:
    """A metric name that is written out elsewhere would not change with the table."""
    for path in (ROOT / "services").rglob("*.py"):
        if path.name != "names.py":
            found = re.findall(r"stepmark_(?:hub|live|step|run|throughput|verdict|parity)_[a-z_]+", path.read_text())
            assert not found, (path, found)
