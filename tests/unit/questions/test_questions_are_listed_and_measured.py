"""Questions are scenarios with their source, cost and limits, and a choice of them is measured within a budget."""

import json
import re
from pathlib import Path

import pytest
import typer
import yaml

from conftest import ROOT, scenario_document
from stepmark.cli.verbs import questions as verb
from stepmark.errors import CannotRun
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.questions import question
from stepmark.questions.question import Question, questions
from stepmark.runs.measuring import Choices

BARE = Choices(resume=False, launcher="bare", fresh_process=False)
AGAIN = Choices(resume=True, launcher="bare", fresh_process=False)
QUESTIONS = questions()


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: one.name)
def test_every_candidate_of_a_question_can_be_measured_on_two_cores_for_the_cost_that_it_says(one: Question) -> None:
    plan = make_plan(one.scenario, Machine(places=2, programs=("c++",)))
    assert {cell.candidate for cell in plan.measurable} == {one.name for one in one.scenario.spec.candidates}
    seconds = verb.estimated(one, plan, "ray")
    said = re.match(r"about (\d+) minutes on two cores", one.cost)
    assert said is not None
    assert abs(seconds / 60 - int(said[1])) <= 0.6
    assert seconds <= 8 * 60


def test_the_folder_of_scenarios_has_the_questions_that_the_package_ships() -> None:
    found = {path.stem for path in (ROOT / "scenarios" / "questions").glob("*.yaml")}
    assert found == {one.name for one in QUESTIONS}
    assert len({one.number for one in QUESTIONS}) == len(QUESTIONS)


def test_the_list_is_a_table_for_people_and_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    verb.show(as_json=False)
    table = capsys.readouterr().out
    assert all(str(one.number) in table for one in QUESTIONS)
    verb.show(as_json=True)
    for one, row in zip(QUESTIONS, json.loads(capsys.readouterr().out), strict=True):
        assert (row["number"], row["question"]) == (one.number, one.question)
        assert row["estimated_seconds"] > 0


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two questions whose steps are scripted, in place of those that are shipped."""
    said = {"question": "Which?", "source": "owner/project#1", "cost": "nothing", "cannot-tell": "anything"}
    folder = tmp_path / "asked"
    folder.mkdir()
    for name in ("01-first", "02-second"):
        document = scenario_document(measurement={"launches": 2, "minSteps": 5, "minSeconds": 0, "warmupSeconds": 0})
        document["metadata"] = {
            "name": f"question-{name}",
            "annotations": {f"stepmark.dev/{key}": text for key, text in said.items()},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(question, "FOLDER", folder)
    return tmp_path / "out"


def test_questions_are_measured_within_the_budget_and_the_rest_later_and_answered_from_what_is_stored(
    asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "_seconds", lambda one, _: 300 if one.number == 2 else 600)
    verb.run([2, 1], asked, budget=600, choices=BARE)
    assert [path.name for path in asked.iterdir()] == ["02-second"]
    assert "question 1: left out" in capsys.readouterr().out
    verb.run([], asked, budget=None, choices=AGAIN)
    assert "question 2: measured already" in capsys.readouterr().out
    pages = tmp_path / "pages"
    verb.answer([asked / "01-first", asked / "02-second"], pages)
    assert sorted(path.name for path in pages.iterdir()) == [
        "01-first.json", "01-first.md", "02-second.json", "02-second.md", "README.md",
    ]  # fmt: skip


def test_a_run_of_another_scenario_is_no_answer(asked: Path) -> None:
    verb.run([1], asked, budget=None, choices=BARE)
    file = question.FOLDER / "01-first.yaml"
    file.write_text(file.read_text().replace("minSteps: 5", "minSteps: 6"))
    with pytest.raises(CannotRun, match="expected a run of a question as it is asked now"):
        verb.answer([asked / "01-first"], asked)


def test_a_number_that_no_question_has_is_refused_before_anything_is_measured(asked: Path) -> None:
    with pytest.raises(typer.BadParameter, match="found 7"):
        verb.run([1, 7], asked, budget=None, choices=BARE)
    assert not asked.exists()
