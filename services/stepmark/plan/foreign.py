"""Say where the code of a workload came from that is not stepmark's own: an installed package, or a person's file."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from stepmark import catalog
from stepmark.scenario.data import Data
from stepmark.scenario.model import WorkloadChoice

_Short = Annotated[str, Field(max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkloadFile(_Part):
    """Name an object in a Python file on this machine, with the SHA-256 of the file's bytes when the run began."""

    path: Path
    attribute: str
    sha256: str

    @property
    def model(self) -> str:
        """Return the name by which a scenario means this object."""
        words = "".join(c if c.isalnum() and c.isascii() else "-" for c in self.attribute.lower())
        return f"{catalog.LOCAL}/{words.strip('-')}"


class Origin(_Part):
    """Hold what a record keeps of foreign code: a package with its version, or a file's name with its SHA-256."""

    package: _Short | None = None
    version: _Short | None = None
    file: _Short | None = None
    sha256: _Short | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return f"{self.file} with SHA-256 {(self.sha256 or 'unknown')[:16]}"
        return f"package {self.package} {self.version or 'of an unknown version'}"


def origin_of(model: str, file: WorkloadFile | None) -> Origin | None:
    """Return where the code of this workload comes from, or None for stepmark's own."""
    if file is not None:
        return Origin(file=file.path.name[:200], sha256=file.sha256)
    if not catalog.is_foreign(model):
        return None
    package, version = catalog.package_of("workloads", model)
    return Origin(package=package[:200], version=None if version is None else version[:200])


class WorkloadFacts(_Part):
    """Hold what foreign code says of its workload when a run is planned, since who reads the record may not have it.

    `params` are the model's parameters with their defaults. A count is None where the code does not know it.
    `unavailable` says for each engine that cannot train the model here why not.
    """

    params: Annotated[dict[str, JsonValue], Field(max_length=64)] = {}
    parameter_count: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    flops_per_sample: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    unavailable: Annotated[dict[_Short, Annotated[str, Field(max_length=500)]], Field(max_length=32)] = {}


class Question(_Part):
    """Ask a process of an engine's interpreter what foreign code says of a workload.

    `framework` is the engine's, `data` says which samples it is to be fed with, and `answer` is the file to write.
    """

    workload: WorkloadChoice
    workload_file: WorkloadFile | None
    framework: str
    data: Data
    answer: Path


class Answer(_Part):
    """Hold the facts, or why the engine cannot train the model, or what is wrong with the document.

    Each error is its path, what was expected, what was found and what to do.
    """

    facts: WorkloadFacts = WorkloadFacts()
    problem: Annotated[str, Field(max_length=500)] | None = None
    errors: Annotated[tuple[tuple[str, str, str, str], ...], Field(max_length=64)] = ()
