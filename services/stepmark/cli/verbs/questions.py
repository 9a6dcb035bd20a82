"""`stepmark questions`: list the questions, measure a choice of them within a budget, write their answers."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from stepmark.cli.options import HubChoices, Launcher
from stepmark.cli.verbs import run as run_verb
from stepmark.cli.verbs import time_to_accuracy as learning_verb
from stepmark.errors import CannotRun
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.estimate import estimate_seconds
from stepmark.plan.learning import estimate_learning_seconds
from stepmark.questions import pages
from stepmark.questions.answer import Answer
from stepmark.questions.question import Question, questions
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.results.learning import FILE as LEARNING_FILE
from stepmark.results.learning import LearningRecords
from stepmark.results.store import FILE
from stepmark.runs.machine import machine_for
from stepmark.runs.measuring import Choices
from stepmark.runs.summaries import summary_of

_ENDED = "summary.json"  # It is written last, so a folder that has it holds a run that has ended.


def show(as_json: bool) -> None:
    """Print every question with its estimated cost on this machine."""
    found = [(question, _seconds(question, Launcher.ray.value)) for question in questions()]
    if as_json:
        typer.echo(json.dumps([_document(question, seconds) for question, seconds in found], indent=2))
        return
    table = titled(f"{len(found)} questions, about {sum(seconds for _, seconds in found) / 60:.0f} minutes together")
    for heading in ("", "question", "minutes"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    for question, seconds in found:
        table.add_row(str(question.number), shown(question.question), f"{seconds / 60:.1f}")
    print_whole(table, Console())


def _document(question: Question, seconds: float) -> dict[str, object]:
    texts = question.model_dump(mode="json", exclude={"scenario"})
    return {"number": question.number, **texts, "file": str(question.file), "estimated_seconds": round(seconds)}


def _seconds(question: Question, launcher: str) -> float:
    return estimated(question, make_plan(question.scenario, machine_for(question.scenario.spec)), launcher)


def estimated(question: Question, plan: Plan, launcher: str) -> float:
    """Return the estimated seconds that the question's verb takes for this plan."""
    if question.measured_by == "time-to-accuracy":
        return estimate_learning_seconds(plan, launcher)
    return estimate_seconds(plan, question.scenario.spec.measurement.launches, launcher, fresh_process=False)


def run(numbers: Sequence[int], out: Path, budget: float | None, choices: Choices) -> None:
    """Measure these questions, or all, each into its folder of `out`. `budget` is in seconds; None is no limit.

    Raises:
        typer.BadParameter: there is no question of a number.
        typer.Exit: 1, if something that was to be measured failed.
    """
    start, failed = time.monotonic(), False
    for question in _chosen(numbers):
        folder = out / question.name
        if choices.resume and _has_ended(question, folder):
            typer.echo(f"question {question.number}: measured already, in {folder}")
            continue
        left = None if budget is None else budget - (time.monotonic() - start)
        estimate = _seconds(question, choices.launcher)
        if left is not None and estimate > left:
            typer.echo(
                f"question {question.number}: left out, since it takes about {estimate:.0f} s and {max(left, 0):.0f} s "
                "are left. With --resume and another --budget it is measured."
            )
            continue
        failed |= not _measured(question, folder, choices)
    if failed:
        raise typer.Exit(1)


def _has_ended(question: Question, folder: Path) -> bool:
    if question.measured_by == "time-to-accuracy":
        kept = LearningRecords.load(folder)
        return kept is not None and kept.blocks >= question.scenario.spec.measurement.launches
    return (folder / _ENDED).exists()


def _measured(question: Question, folder: Path, choices: Choices) -> bool:
    """Measure one question, or go on with it, and return whether nothing failed."""
    typer.echo(f"question {question.number}: {question.question}")
    begun = choices.resume and (folder / FILE).exists()
    try:
        if question.measured_by == "time-to-accuracy":
            wanted = learning_verb.Wanted(folder, choices.resume, choices.launcher)
            learning_verb.time_to_accuracy(question.file, wanted, as_json=False)
            return True
        run_verb.run(question.file, folder, replace(choices, resume=begun), HubChoices(), live_listen=None)
    except typer.Exit as ended:
        return ended.exit_code == 0
    return True


def _chosen(numbers: Sequence[int]) -> Iterator[Question]:
    known = {question.number: question for question in questions()}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise typer.BadParameter(
            f"expected numbers of questions ({', '.join(map(str, known))}), found {unknown[0]}. "
            "`stepmark questions` lists them."
        )
    yield from (known[number] for number in dict.fromkeys(numbers or known))


def answer(folders: Sequence[Path], into: Path) -> None:
    """Store the summaries of these runs in `into`, then write all pages there that the stored ones give.

    Raises:
        CannotRun: a folder holds no run of a question as it is asked now, or `into` cannot be written.
    """
    texts = {into / f"{name}.json": text for name, text in map(_stored, folders)}
    try:
        into.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        for path, text in pages.pages(into).items():
            path.write_text(text, encoding="utf-8")
            typer.echo(str(path))
    except OSError as error:
        raise CannotRun(f"{into}: expected a folder to write to, found: {error.strerror}. Choose another.") from None


def _stored(folder: Path) -> tuple[str, str]:
    """Return the question's name and its summary as JSON."""
    summary: Answer = learning_verb.summary_in(folder) if (folder / LEARNING_FILE).exists() else summary_of(folder)
    asked = {question.scenario.digest(): question.name for question in questions()}
    if summary.scenario_digest not in asked:
        raise CannotRun(
            f"{folder}: expected a run of a question as it is asked now, found scenario {summary.scenario} with digest "
            f"{summary.scenario_digest[:16]}. Measure it again: `stepmark questions run`."
        )
    return asked[summary.scenario_digest], summary.model_dump_json(indent=1) + "\n"
