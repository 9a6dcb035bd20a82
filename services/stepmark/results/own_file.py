"""The common part of records that are no run's: those of one verb, in a JSON file of their own, block after block."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from stepmark import __version__
from stepmark.errors import CannotRun
from stepmark.plan.blocks import Plan
from stepmark.plan.cells import Cell, Machine
from stepmark.plan.foreign import Origin, WorkloadFile, origin_of
from stepmark.results.base import Clean, Count, RecordModel, Seconds, Text
from stepmark.results.environment import Environment, describe
from stepmark.results.record import Failure
from stepmark.terms import Launcher


class OwnLaunch(RecordModel):
    """One launch of one cell: when it was made, how long it took, and why it failed. A subclass adds what it says."""

    cell: Text
    block: Count
    position: Count
    started_at: Annotated[str, Field(max_length=40), Clean]
    wall_seconds: Seconds
    failure: Failure | None = None


class OwnFile(RecordModel):
    """The scenario, machine and versions of a file's records. A subclass names the file, its verb and its records.

    `workload_origin` says where the model's code is from; None for stepmark's own.
    """

    FILE: ClassVar[str]
    HOLDS: ClassVar[str]
    """What the file holds, in words: the starts of `stepmark first-step`."""
    KEPT: ClassVar[tuple[str, ...]] = (
        "scenario_digest", "workload_origin", "machine", "launcher", "stepmark_version",
    )  # fmt: skip
    """The fields that must not change between the first part of the records and the next."""

    schema_version: Literal[1] = 1
    stepmark_version: Text
    scenario: dict[str, Any]
    scenario_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    machine: Machine
    launcher: Launcher
    environment: Environment
    cells: tuple[Cell, ...]
    workload_origin: Origin | None = None

    @classmethod
    def empty(cls, plan: Plan, launcher: Launcher, workload_file: WorkloadFile | None = None, **own: Any) -> Self:
        """Return a file of this plan without records. `own` holds the subclass's own fields."""
        return cls(
            stepmark_version=__version__,
            scenario=plan.scenario.model_dump(mode="json", by_alias=True),
            scenario_digest=plan.scenario.digest(),
            machine=plan.machine,
            launcher=launcher,
            environment=describe(),
            cells=plan.cells,
            workload_origin=origin_of(plan.scenario.spec.workload.model, workload_file),
            **own,
        )

    def save(self, folder: Path) -> None:
        """Write the file under a draft name and rename it, so that it appears whole or not at all.

        Raises:
            CannotRun: the folder cannot be written to.
        """
        draft = folder / f"{self.FILE}.draft"
        try:
            draft.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
            draft.rename(folder / self.FILE)
        except OSError as error:
            raise CannotRun(f"{folder}: expected to write {self.FILE}, found: {error.strerror}. Make room.") from None

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return what the folder holds, or None where it has no such file.

        Raises:
            CannotRun: the file is not what `save` wrote.
        """
        try:
            return cls.model_validate_json((folder / cls.FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else f"{error.error_count()} fields that do not fit"
            raise CannotRun(f"{folder / cls.FILE}: expected {cls.HOLDS}, found: {why}. Choose another --out.") from None

    def begun_in(self, folder: Path, resume: bool) -> Self:
        """Return the records that the folder holds, if these are to be continued, or this empty one.

        Raises:
            CannotRun: it holds records that are not to be continued, or of another scenario, machine or version.
        """
        found = self.load(folder)
        if found is None:
            return self
        if not resume:
            raise CannotRun(f"{folder}: expected no {self.FILE}, found one. Add --resume, or choose another --out.")
        for name in self.KEPT:
            before, after = getattr(found, name), getattr(self, name)
            if before != after:
                raise CannotRun(
                    f"{folder}: expected {name} as in the first part ({before}), found {after}. "
                    "Continue as it was begun, or choose another --out."
                )
        return found
