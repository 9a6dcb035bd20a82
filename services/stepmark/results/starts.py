"""The records of `first-step`: what each process took from its start to its first finished step, in one JSON file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError

from stepmark.errors import CannotRun
from stepmark.plan.cells import Cell, Machine
from stepmark.results.base import Clean, Count, RecordModel, Seconds, Text
from stepmark.results.environment import Environment
from stepmark.results.record import Failure
from stepmark.terms import Launcher, StartKind

FILE = "first-step.json"


class StartReport(RecordModel):
    """The seconds of one rank's process, which add up to those from its start to its first finished step.

    `interpreter` is the time until Python runs the first line, `own_imports` that of stepmark's own modules, which no
    script of a user imports, `imports` that of the framework, `build` that of the group, the model, its optimiser and
    its batches, and `first_step` that of the first step with its tracing and compiling, until its loss is known.
    `compilations` is how often the step was traced or compiled; None where nothing is.
    """

    rank: Count
    interpreter: Seconds
    own_imports: Seconds
    imports: Seconds
    build: Seconds
    first_step: Seconds
    compilations: Count | None
    flags: Annotated[dict[Text, Text], Field(max_length=64)]

    @property
    def script_seconds(self) -> float:
        """The seconds that a script of a user takes: all but stepmark's own imports."""
        return self.interpreter + self.imports + self.build + self.first_step


class StartRecord(RecordModel):
    """One start of one cell: the reports of all ranks, or why it failed."""

    cell: Text
    kind: StartKind
    block: Count
    position: Count
    started_at: Annotated[str, Field(max_length=40), Clean]
    wall_seconds: Seconds
    ranks: tuple[StartReport, ...] = ()
    failure: Failure | None = None

    @property
    def slowest(self) -> StartReport | None:
        """The report of the rank that finished its first step last; None where the start failed."""
        return max(self.ranks, key=lambda report: report.script_seconds, default=None)


class Starts(RecordModel):
    """All starts of a scenario on one machine, of the blocks that are complete.

    `edit` holds the parameters that the edit changed, with their new values; None where nothing was edited.
    """

    schema_version: Literal[1] = 1
    stepmark_version: Text
    scenario: dict[str, Any]
    scenario_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    machine: Machine
    launcher: Launcher
    environment: Environment
    edit: dict[Text, JsonValue] | None
    cells: tuple[Cell, ...]
    starts: tuple[StartRecord, ...] = ()

    @property
    def blocks(self) -> int:
        """The number of complete blocks."""
        return len({start.block for start in self.starts})

    def with_block(self, starts: tuple[StartRecord, ...]) -> "Starts":
        """Return these starts with those of one more block."""
        return self.model_copy(update={"starts": (*self.starts, *starts)})

    def save(self, folder: Path) -> None:
        """Write the file under a draft name and rename it, so that it appears whole or not at all.

        Raises:
            CannotRun: the folder cannot be written to.
        """
        draft = folder / f"{FILE}.draft"
        try:
            draft.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
            draft.rename(folder / FILE)
        except OSError as error:
            raise CannotRun(f"{folder}: expected to write {FILE}, found: {error.strerror}. Make room.") from None

    @classmethod
    def load(cls, folder: Path) -> "Starts | None":
        """Return the starts that the folder holds, or None where it has none.

        Raises:
            CannotRun: the file is not what `save` wrote.
        """
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else f"{error.error_count()} fields that do not fit"
            raise CannotRun(
                f"{folder / FILE}: expected the starts of `stepmark first-step`, found: {why}. Choose another --out."
            ) from None
