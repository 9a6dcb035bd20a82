"""The file of a verb of its own begins with the plan, the machine and the versions, and without records."""

import json
from pathlib import Path

from conftest import scenario_document
from stepmark import __version__
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.results.learning import LearningRecords
from stepmark.results.starts import Starts
from stepmark.scenario.load import scenario_from_object

SHARED = [
    *("schema_version", "stepmark_version", "scenario", "scenario_digest", "machine", "launcher", "environment"),
    "cells",
]


def test_both_files_begin_with_the_same_fields(tmp_path: Path) -> None:
    plan = make_plan(scenario_from_object(scenario_document()), Machine(places=1, programs=()))
    starts = Starts.empty(plan, "bare", edit={"hidden": 8})
    records = LearningRecords.empty(plan, "bare")
    for one in (starts, records):
        one.save(tmp_path)
        written = json.loads((tmp_path / one.FILE).read_text())
        assert list(written)[:8] == SHARED
        assert (written["stepmark_version"], written["launcher"]) == (__version__, "bare")
        assert (written["scenario"]["kind"], written["scenario_digest"]) == ("Scenario", plan.scenario.digest())
    assert (starts.cells, starts.edit, starts.starts) == (plan.cells, {"hidden": 8}, ())
    assert (records.cells, records.certificates, records.launches) == (plan.cells, (), ())
