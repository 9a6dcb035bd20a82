"""Read the questions that are shipped with stepmark: scenario files whose annotations say what is asked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepmark.scenario.load import scenario_from_file
from stepmark.scenario.model import Scenario

FOLDER = Path(__file__).parent / "scenarios"
ANNOTATION = "stepmark.dev/"

Text = Annotated[str, Field(min_length=1, max_length=600)]


class Question(BaseModel):
    """Describe one question, as the annotations of its scenario say it.

    `name` is the file's name without its suffix, and begins with the number. `source` names the public threads in which
    the question is asked. `cost` says for about how long the scenario runs on two cores, and what it needs.
    `cannot_tell` says what its answer does not answer. `answered_by` is what an answer begins with: the verdicts on
    step times, the memory of the cells, when a slower start has paid, what samples of different lengths cost, how long
    steps wait for their input, or how far the engines' training is from each other's. `measured_by` is the verb that
    measures it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[0-9]{2}-[a-z0-9-]+$")]
    question: Text
    source: Text
    cost: Text
    cannot_tell: Text
    answered_by: Literal["verdicts", "memory", "break-even", "lengths", "input", "parity"] = "verdicts"
    measured_by: Literal["run", "time-to-accuracy"] = "run"
    scenario: Scenario

    @property
    def number(self) -> int:
        """Return the number by which the question is chosen."""
        return int(self.name[:2])

    @property
    def file(self) -> Path:
        """Return the path of the scenario file."""
        return FOLDER / f"{self.name}.yaml"


def questions() -> tuple[Question, ...]:
    """Return all questions, by their numbers."""
    return tuple(_question(file) for file in sorted(FOLDER.glob("*.yaml")))


def _question(file: Path) -> Question:
    scenario = scenario_from_file(file)
    said = scenario.metadata.annotations
    fields = {name: f"{ANNOTATION}{name.replace('_', '-')}" for name in Question.model_fields}
    texts = {name: said[annotation] for name, annotation in fields.items() if annotation in said}
    return Question.model_validate(texts | {"name": file.stem, "scenario": scenario})
