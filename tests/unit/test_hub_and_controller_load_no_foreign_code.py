"""Hub, controller and reports read scenarios and records of foreign workloads, whose package may be here or not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import scenario_document
from packages import on_path, write_package
from stepmark.analysis.alike import Side, differences
from stepmark.analysis.summary import summarize_run
from stepmark.controller.acceptance import Accepted, Refused, accept
from stepmark.controller.profiles import Profile
from stepmark.hub.ingest import _checked_digest
from stepmark.hub.refusals import Refused as HubRefused
from stepmark.plan.cells import Machine
from stepmark.plan.foreign import Origin, WorkloadFacts
from stepmark.results.environment import describe
from stepmark.results.store import Run
from stepmark.scenario.load import scenario_from_object

MODEL = {"model": "acme/unet", "params": {"depth": 3, "kind": "wide"}}


@pytest.fixture(autouse=True)
def package(tmp_path: Path) -> Iterator[None]:
    """A package that is installed, and whose modules nothing here may import."""
    entries = {"workloads:unet": "acme:WORKLOAD", "engines:fast": "acme"}
    with on_path(write_package(tmp_path, "acme", entries, "raise SystemExit('imported')")):
        yield
        assert "acme" not in sys.modules


def run_of(origin: Origin, facts: WorkloadFacts, **changes: Any) -> Run:
    document = scenario_document(workload=MODEL, **changes)
    scenario = scenario_from_object(document)
    return Run(
        stepmark_version="0.1.0",
        scenario=scenario.model_dump(mode="json", by_alias=True),
        scenario_digest=scenario.digest(),
        machine=Machine(places=1, programs=()),
        launcher="bare",
        forked=True,
        environment=describe(),
        workload_origin=origin,
        workload_facts=facts,
    )


def test_the_controller_accepts_what_the_profile_lists_and_nothing_else() -> None:
    document = scenario_document(workload=MODEL)
    listed = Profile(image="r:1", workloads=("acme/unet", "acme/vit"))
    assert isinstance(accept(document, {"default": listed}), Accepted)
    refused = accept(document, {"default": Profile(image="r:1", workloads=("acme/vit",))})
    assert isinstance(refused, Refused)
    assert refused.reason == "ForbiddenPackage"
    assert "one that profile local lists (acme/vit), found 'acme/unet'" in refused.message


def test_a_record_says_what_the_package_said_and_needs_it_no_more() -> None:
    candidates = [{"name": n, "engine": e, "strategy": "single"} for n, e in (("s", "sleeper"), ("t", "torch"))]
    facts = WorkloadFacts(flops_per_sample=123, unavailable={"torch": "acme/unet cannot be loaded: no"})
    run = run_of(Origin(package="acme", version="1"), facts, candidates=candidates)
    summary = summarize_run(Run.model_validate_json(run.model_dump_json()), run.cells(), [], {})
    assert [(cell.engine, cell.reason) for cell in summary.cells if cell.verdict == "unsupported"] == [
        ("torch", "acme/unet cannot be loaded: no")
    ]


def test_the_hub_refuses_an_engine_of_another_package() -> None:
    foreign = [{"name": "fast", "engine": "acme/fast", "strategy": "single"}]
    run = run_of(Origin(package="acme"), WorkloadFacts(), candidates=foreign)
    with pytest.raises(HubRefused, match="loads no code of other packages"):
        _checked_digest(run)


def test_runs_of_another_file_or_another_version_of_the_package_are_told_apart() -> None:
    def side(origin: Origin) -> Side:
        run = run_of(origin, WorkloadFacts(params={"depth": 3}))
        return Side("out", run, summarize_run(run, run.cells(), [], {}), {})

    def found(old: Origin, new: Origin) -> list[tuple[str, str | None, str | None]]:
        return [(one.field, one.old, one.new) for one in differences(side(old), side(new)) if one.kind == "changed"]

    assert ("m.py", "a", "b") in found(Origin(file="m.py", sha256="a"), Origin(file="m.py", sha256="b"))
    assert ("package acme", "1", "2") in found(Origin(package="acme", version="1"), Origin(package="acme", version="2"))
