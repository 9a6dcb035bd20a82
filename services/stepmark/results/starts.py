"""The records of `first-step`: what each process took from its start to its first finished step, in one JSON file."""

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from stepmark.results.base import Count, RecordModel, Seconds, Text
from stepmark.results.own_file import OwnFile, OwnLaunch
from stepmark.terms import StartKind

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


class StartRecord(OwnLaunch):
    """One start of one cell: the reports of all ranks, or why it failed."""

    kind: StartKind
    ranks: tuple[StartReport, ...] = ()

    @property
    def slowest(self) -> StartReport | None:
        """The report of the rank that finished its first step last; None where the start failed."""
        return max(self.ranks, key=lambda report: report.script_seconds, default=None)


class Starts(OwnFile):
    """All starts of a scenario on one machine, of the blocks that are complete.

    `edit` holds the parameters that the edit changed, with their new values; None where nothing was edited.
    """

    FILE: ClassVar[str] = FILE
    HOLDS: ClassVar[str] = "the starts of `stepmark first-step`"
    KEPT: ClassVar[tuple[str, ...]] = (*OwnFile.KEPT, "edit")

    edit: dict[Text, JsonValue] | None
    starts: tuple[StartRecord, ...] = ()

    @property
    def blocks(self) -> int:
        """The number of complete blocks."""
        return len({start.block for start in self.starts})

    def with_block(self, starts: tuple[StartRecord, ...]) -> "Starts":
        """Return these starts with those of one more block."""
        return self.model_copy(update={"starts": (*self.starts, *starts)})
