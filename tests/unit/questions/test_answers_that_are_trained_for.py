"""The page of a question that is answered by training to an accuracy is made of the stored result alone."""

import json
from pathlib import Path

import pytest

from stepmark.cli.verbs import questions as verb
from stepmark.cli.verbs import time_to_accuracy as learning_verb
from stepmark.errors import CannotRun
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.questions import pages
from stepmark.questions.answer import index, page, said, stored
from stepmark.questions.question import questions
from stepmark.results.learning import LearningRecords
from stepmark.runs.measuring import Choices
from unit.analysis.test_time_to_an_accuracy import CURVE, NOISE, certificate, record, report

[QUESTION] = [one for one in questions() if one.measured_by == "time-to-accuracy"]
AGAIN = Choices(resume=True, launcher="bare")


def records(missing: int = 0) -> LearningRecords:
    """Return launches of the question's own cells, of which Keras on JAX takes 1.5 times as long a step."""
    plan: Plan = make_plan(QUESTION.scenario, Machine(places=1, programs=()))
    curve = [*(value + 0.03 for value in CURVE[:-1]), 0.97]
    launches = [
        record(
            cell.key,
            block,
            report([value + off / 1000 for value in curve], milliseconds=15 if "jax" in cell.key else 10),
        )
        for block, off in enumerate(NOISE[: 5 - missing])
        for cell in plan.cells
    ]
    certificates = tuple(certificate(cell.key) for cell in plan.cells)
    return LearningRecords.empty(plan, "bare").model_copy(
        update={"launches": tuple(launches), "certificates": certificates}
    )


def test_a_page_is_written_from_the_records_of_a_folder_and_listed(tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    records().save(run)
    verb.answer([run], tmp_path / "pages")
    text = (tmp_path / "pages" / f"{QUESTION.name}.md").read_text()
    for expected in (
        "2026-12-01",
        "reaches an accuracy of 0.95 after",
        "## What this cannot",
        "seconds | 1.500",
        "| slower |",
    ):
        assert expected in text
    assert "no measurable difference: within 1.0%" in text
    summary = stored(QUESTION, (tmp_path / "pages" / f"{QUESTION.name}.json").read_text())
    assert (
        page(QUESTION, summary) == text == pages.pages(tmp_path / "pages")[tmp_path / "pages" / f"{QUESTION.name}.md"]
    )
    assert said(QUESTION, summary)[0] in index({QUESTION.name: summary}).replace("\\", "")


def test_a_question_is_measured_by_its_verb_and_left_out_once_all_blocks_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(learning_verb, "time_to_accuracy", lambda file, wanted, as_json: asked.append(file))
    (folder := tmp_path / QUESTION.name).mkdir()
    records(missing=1).save(folder)
    verb.run([QUESTION.number], tmp_path, budget=None, choices=AGAIN)
    assert asked == [QUESTION.file]
    records().save(folder)
    verb.run([QUESTION.number], tmp_path, budget=None, choices=AGAIN)
    assert "measured already" in capsys.readouterr().out
    assert asked == [QUESTION.file]


def test_records_of_another_scenario_are_no_answer(tmp_path: Path) -> None:
    document = json.loads(records().model_dump_json())
    document["scenario_digest"] = "0" * 64
    LearningRecords.model_validate_json(json.dumps(document)).save(tmp_path)
    with pytest.raises(CannotRun, match="expected a run of a question as it is asked now"):
        verb.answer([tmp_path], tmp_path / "pages")
