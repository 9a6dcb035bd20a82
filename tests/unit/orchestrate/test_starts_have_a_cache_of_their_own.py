"""A cold start finds an empty cache, warm and edited ones what it left; a start that fails ends no other."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import scenario_document
from stepmark.launch.spec import LaunchSpec, RankOutcome
from stepmark.orchestrate import rank
from stepmark.orchestrate.starts import made_starts
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.starts import Edit, start_blocks
from stepmark.results.starts import StartRecord
from stepmark.scenario.load import scenario_from_object


def plan(**changes: Any) -> Plan:
    return make_plan(scenario_from_object(scenario_document(**changes)), Machine(places=1, programs=("c++",)))


def starts(made: Plan, edit: Edit | None, blocks: int = 1) -> list[StartRecord]:
    told: list[StartRecord] = []
    each = made_starts(
        made, (), start_blocks(made, edit, blocks), "bare", lambda _, record: told.append(record), "cut off"
    )
    with closing(each):
        found = [record for block in each for record in block]
    assert found == told
    return found


def test_a_cold_start_finds_an_empty_cache_and_the_others_what_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def compiling(spec: LaunchSpec, zygote: Path | None, environment: Mapping[str, str], *_: object) -> RankOutcome:
        assert zygote is None
        assert spec.launch.start is not None
        cache = Path(environment["TMPDIR"])
        assert Path(environment["TORCHINDUCTOR_CACHE_DIR"]).parent == cache
        seen.append((f"{spec.cell.candidate}.{spec.launch.start.kind}", sorted(path.name for path in cache.iterdir())))
        (cache / f"{spec.cell.candidate}.{spec.launch.start.kind}").touch()
        return RankOutcome(rank=0)

    monkeypatch.setattr(rank, "run_child", compiling)
    candidates = [{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("a", "b")]
    starts(plan(candidates=candidates), {"startupSeconds": 1.0}, blocks=2)
    expected = {f"{one}.{kind}": before for one in "ab" for kind, before in _left_by(one).items()}
    assert sorted(seen) == sorted(2 * list(expected.items()))


def _left_by(candidate: str) -> dict[str, list[str]]:
    cold, warm = f"{candidate}.cold", f"{candidate}.warm"
    return {"cold": [], "warm": [cold], "edited": [cold, warm]}


def test_an_edited_start_builds_the_edited_model() -> None:
    found = {start.kind: start.slowest for start in starts(plan(), {"startupSeconds": 0.5})}
    cold, warm, edited = (found[kind] for kind in ("cold", "warm", "edited"))
    assert cold is not None
    assert warm is not None
    assert edited is not None
    assert edited.build >= 0.5
    assert min(cold.interpreter, cold.own_imports, cold.first_step - 0.004) > 0


def test_a_start_that_fails_has_a_cause_and_ends_no_other() -> None:
    edit: Edit = {"fault": "raise", "faultStep": 0}
    cold, warm, edited = starts(plan(), edit)
    assert cold.slowest is not None
    assert warm.slowest is not None
    assert edited.failure is not None
    assert edited.failure.cause == "RuntimeError: the script asked for this error"


def test_a_torch_model_makes_its_first_step_in_a_process_that_imports_torch_itself() -> None:
    made = plan(candidates=[{"name": "torch", "engine": "torch"}], workload={"model": "mlp", "params": {"hidden": 8}})
    [[cold, _]] = start_blocks(made, None, 1)
    with closing(made_starts(made, (), ((cold,),), "bare", lambda *_: None, "cut off")) as each:
        [[start]] = each
    assert start.failure is None
    assert start.slowest is not None
    assert start.slowest.imports > start.slowest.build > 0
    assert start.slowest.first_step > 0
    assert "torch" in start.slowest.flags
