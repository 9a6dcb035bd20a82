"""Say what foreign code tells of its workload, in a process of its own, so that nothing else loads that code.

It is started as `python -m stepmark.launch.describe` with a Question on standard input, and writes an Answer.
"""

import os
import sys
import traceback

from pydantic import ValidationError

from stepmark.errors import ScenarioError, StepmarkError, clean
from stepmark.launch import process
from stepmark.launch.foreign import workload_of
from stepmark.launch.reporting import cause
from stepmark.plan.foreign import Answer, Question, WorkloadFacts
from stepmark.scenario.explain import explain
from stepmark.scenario.load import data_errors
from stepmark.terms import REAL_SOURCES
from stepmark.workloads._protocol import Workload


def main() -> None:
    """Answer the question on standard input, and end at once: foreign code may hold up an orderly exit."""
    process.die_with_parent(os.getppid())
    question = Question.model_validate_json(sys.stdin.read())
    os.dup2(2, 1)
    try:
        answer = _answer(question)
    except BaseException as error:  # Foreign code may raise anything, SystemExit too.
        traceback.print_exc()
        answer = Answer(problem=clean(_words(question.workload.model, error))[:500])
    draft = question.answer.with_suffix(".draft")
    draft.write_text(answer.model_dump_json())
    draft.rename(question.answer)
    sys.stderr.flush()
    os._exit(0)


def _words(model: str, error: BaseException) -> str:
    return str(error) if isinstance(error, StepmarkError) else f"{model} cannot be loaded: {cause(error)}"


def _answer(question: Question) -> Answer:
    model, workload = question.workload.model, workload_of(question)
    try:
        params = workload.parse(question.workload.params)
    except ValidationError as error:
        return _refused(explain(error, workload.params_model, prefix="spec.workload.params"))
    if question.framework not in workload.frameworks():
        written = ", ".join(workload.frameworks()) or "no framework"
        return Answer(problem=f"{model} is not written for {question.framework}, only for {written}")
    errors = _data_errors(question, workload, params)
    return _refused(errors) if errors else Answer(facts=_facts(workload, params))


def _data_errors(question: Question, workload: Workload, params: object) -> list[ScenarioError]:
    """Return what is wrong with the samples. Only for real or transformed ones is the model asked for its input."""
    data = question.data
    if data.source not in REAL_SOURCES and data.transform == "none":
        return []
    return list(data_errors(data, workload.input(params), question.workload.model))


def _refused(errors: list[ScenarioError]) -> Answer:
    return Answer(errors=tuple((error.path, error.expected, error.found, error.fix) for error in errors[:64]))


def _facts(workload: Workload, params: object) -> WorkloadFacts:
    return WorkloadFacts(
        params=params.model_dump(mode="json", by_alias=True),  # type: ignore[attr-defined]
        parameter_count=workload.parameter_count(params),
        flops_per_sample=workload.flops_per_sample(params),
    )


if __name__ == "__main__":
    main()
