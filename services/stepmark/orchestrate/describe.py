"""Ask, before a run is planned, what foreign code says of the scenario's workload. This process does not load it."""

import subprocess
import tempfile
from pathlib import Path

from pydantic import ValidationError

from stepmark import catalog, interpreters
from stepmark.errors import CannotRun, ScenarioError, ScenarioErrors, printable
from stepmark.launch import process
from stepmark.launch.spawn import child_environment, last_lines
from stepmark.plan.foreign import Answer, Question, WorkloadFacts, WorkloadFile
from stepmark.scenario.model import Scenario


def facts_of(scenario: Scenario, file: WorkloadFile | None, refuse: bool = True) -> WorkloadFacts | None:
    """Return what foreign code says of the scenario's workload, or None where the workload is stepmark's own.

    Each engine's interpreter is asked, since they have packages of their own. Without `refuse`, a workload that no
    engine can load makes all cells unsupported, with the reasons, instead of an error: a hub is told of results only.

    Raises:
        ScenarioErrors: the workload refuses its params, or the data.
        CannotRun: no engine of the scenario can load it; the message says why for each.
    """
    if not catalog.is_foreign(scenario.spec.workload.model):
        return None
    engines = dict.fromkeys(str(candidate.engine) for candidate in scenario.spec.candidates)
    answers = {engine: _ask(engine, scenario, file) for engine in engines}
    refused = next((answer.errors for answer in answers.values() if answer.errors), ())
    if refused:
        raise ScenarioErrors([ScenarioError(*map(printable, error)) for error in refused])
    problems = {engine: printable(answer.problem) for engine, answer in answers.items() if answer.problem is not None}
    if refuse and len(problems) == len(engines):
        raise CannotRun("\n".join(f"engine {engine}: {problem}" for engine, problem in problems.items()))
    found = next((answer.facts for answer in answers.values() if answer.problem is None), WorkloadFacts())
    return found.model_copy(update={"unavailable": {engine: problem[:500] for engine, problem in problems.items()}})


def _ask(engine: str, scenario: Scenario, file: WorkloadFile | None) -> Answer:
    spec = scenario.spec
    with tempfile.TemporaryDirectory() as scratch:
        question = Question(
            workload=spec.workload,
            workload_file=file,
            framework=catalog.load_engine(engine).SUPPORT.framework,
            data=spec.data,
            answer=Path(scratch, "answer.json"),
        )
        problem = _run(engine, question, Path(scratch), spec.measurement.launch_timeout_seconds)
        if problem is None:
            try:
                return Answer.model_validate_json(question.answer.read_bytes())
            except (OSError, ValidationError) as error:
                problem = f"its process gave no valid answer ({' '.join(str(error).split())[:200]})"
    return Answer(problem=f"{spec.workload.model} cannot be loaded: {problem}"[:500])


def _run(engine: str, question: Question, scratch: Path, seconds: int) -> str | None:
    """Return why there is no answer, or None. Whatever the process has started is killed."""
    log = scratch / "stderr.log"
    with log.open("wb") as stderr:
        asked = subprocess.Popen(
            [interpreters.python_of(engine), "-m", "stepmark.launch.describe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=child_environment(engine, 1, scratch),
            start_new_session=True,
        )
    try:
        asked.communicate(question.model_dump_json().encode(), seconds)
    except subprocess.TimeoutExpired:
        return f"its import took longer than launchTimeoutSeconds, {seconds} s"
    finally:
        process.kill_group(asked.pid)
        asked.wait()
    if asked.returncode == 0:
        return None
    said = " | ".join(last_lines(log)[-3:]) or "it printed nothing"
    return f"its process ended with exit code {asked.returncode}: {said}"
