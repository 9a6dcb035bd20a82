"""Decide whether two runs may be compared: list what differs between their machines, settings and software.

Machine and settings must be alike, otherwise a difference in step time says nothing about the software. Software is
what people gate on, so its differences are only listed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from stepmark import catalog
from stepmark.analysis.summary import Summary
from stepmark.errors import printable
from stepmark.results.record import LaunchHeader
from stepmark.results.store import Run
from stepmark.scenario.model import WorkloadChoice

Kind = Literal["machine", "settings", "changed"]
Text = Annotated[str, AfterValidator(printable)]
"""Hold a string from a document or another process, with its control characters made printable for every output."""

_MEMORY_TOLERANCE = 0.05  # kernels and firmware of one kind of machine keep different amounts for themselves
_MACHINE = ("cpu_model", "cpu_count", "cpu_governor", "cgroup_cpu_limit")
_MACHINE_BYTES = ("memory_bytes", "cgroup_memory_limit_bytes")
_MACHINE_FLAGS = ("threads", "niceness", "nodes", "cores per rank")  # and all flags that begin with "device"
_CHANGED = ("host", "kernel", "python")
_CELL_SETTINGS = ("engine", "strategy", "variant", "options", "processes", "batch_per_worker")


class Difference(BaseModel):
    """Store one field that differs between two runs.

    The kinds `machine` and `settings` refuse a comparison; `changed` is what the comparison may be about. `old` and
    `new` are None where a side lacks the field or does not know it. `cells` is empty where the difference concerns all
    cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    field: Text
    old: Text | None
    new: Text | None
    cells: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Side:
    """Store one run to compare. `facts` maps a cell key to what its ranks ran on and with (`rank_facts`)."""

    folder: str
    run: Run
    summary: Summary
    facts: Mapping[str, Mapping[str, str]]

    @cached_property
    def work(self) -> dict[str, object]:
        """Return what was measured, by name. The value is cached, since a run is compared with many others."""
        return _work(self.run)

    @cached_property
    def software(self) -> dict[str, object]:
        """Return what the run was measured with, and how much was measured, by name."""
        return _software(self.run)


def rank_facts(header: LaunchHeader) -> dict[str, str]:
    """Return placement and flags of a launch's ranks, by name. Values that differ between ranks are joined.

    The result is empty for a launch without ranks.
    """
    if not header.ranks:
        return {}
    values: dict[str, set[str]] = defaultdict(set)
    for rank in header.ranks:
        values["cores per rank"].add(str(len(rank.cpus)))
        for name, value in rank.flags.items():
            values[name].add(value)
    nodes = len({rank.host for rank in header.ranks})
    return {name: ", ".join(sorted(found)) for name, found in values.items()} | {"nodes": str(nodes)}


def facts_of(headers: Iterable[LaunchHeader], measured: set[str]) -> dict[str, dict[str, str]]:
    """Return `Side.facts` from the first good launch of each measured cell.

    `headers` come in the order of the plan. They are read only until every cell has its facts, mostly in the first
    block. `measured` holds keys of cells.
    """
    facts: dict[str, dict[str, str]] = {}
    for header in headers:
        if header.failure is None and header.cell.key in measured:
            facts.setdefault(header.cell.key, rank_facts(header))
        if len(facts) == len(measured):
            break
    return facts


def differences(old: Side, new: Side) -> tuple[Difference, ...]:
    """Return all differences between two runs, those that refuse a comparison first."""
    found = [*_machine(old.run, new.run), *_settings(old, new), *_changed(old, new), *_cells(old, new)]
    order: list[Kind] = ["machine", "settings", "changed"]
    return tuple(sorted(found, key=lambda difference: order.index(difference.kind)))


def _machine(old: Run, new: Run) -> Iterator[Difference]:
    """Compare the CPU, its governor, memory and limits.

    The kernel is left out: the same machine gets new kernels, as it gets new packages.
    """
    ours, theirs = old.environment.model_dump(), new.environment.model_dump()
    yield from _unequal("machine", ours, theirs, _MACHINE)
    for field in _MACHINE_BYTES:
        sizes = [ours[field], theirs[field]]
        if None in sizes or max(sizes) > min(sizes) * (1 + _MEMORY_TOLERANCE):
            yield from _unequal("machine", ours, theirs, (field,))


def _settings(old: Side, new: Side) -> Iterator[Difference]:
    """Compare what changes the measured work.

    Batch and strategy are compared cell by cell, so that an additional cell is no difference.
    """
    before, after = old.work, new.work
    if before["workload.model"] != after["workload.model"]:  # two models have different parameters altogether
        before, after = ({n: v for n, v in work.items() if ".params." not in n} for work in (before, after))
    yield from _all_unequal("settings", before, after)


def _work(run: Run) -> dict[str, object]:
    spec = run.parsed_scenario.spec
    return {
        "launcher": run.launcher,
        "forked": run.forked,
        "profile": spec.profile,
        "workload.model": spec.workload.model,
        **_flat(_params(run, spec.workload), "workload.params."),
        **_flat(spec.training.model_dump(by_alias=True), "training."),
        **_flat(spec.data.model_dump(by_alias=True), "data."),
    }


def _origin(run: Run) -> dict[str, object]:
    """Return the version of the package, or the digest of the file, that the workload came from, by its name."""
    origin = run.workload_origin
    if origin is None:
        return {}
    return {f"package {origin.package}": origin.version} if origin.file is None else {origin.file: origin.sha256}


def _params(run: Run, choice: WorkloadChoice) -> dict[str, object]:
    """Return the model's parameters with their defaults, which for foreign code are in the record."""
    if catalog.is_foreign(choice.model):
        return dict(choice.params if run.workload_facts is None else run.workload_facts.params)
    return catalog.load_workload(choice.model).parse(choice.params).model_dump(by_alias=True)


def _changed(old: Side, new: Side) -> Iterator[Difference]:
    """Compare the software, and the settings that decide how much is measured but not what."""
    yield from _all_unequal("changed", old.software, new.software)


def _software(run: Run) -> dict[str, object]:
    scenario, environment = run.parsed_scenario, run.environment.model_dump()
    return {
        **_flat(environment["packages"], "package "),
        **_origin(run),
        "stepmark": run.stepmark_version,
        **{field: environment[field] for field in _CHANGED},
        "scenario": scenario.name,
        "scale.mode": scenario.spec.scale.mode,
        "parity": scenario.spec.parity,
        **_flat(scenario.spec.measurement.model_dump(by_alias=True), "measurement."),
    }


def _cells(old: Side, new: Side) -> Iterator[Difference]:
    """Compare single cells, and gather equal differences."""
    gathered: dict[tuple[Kind, str, str | None, str | None], list[str]] = defaultdict(list)
    theirs = {cell.key: cell for cell in new.summary.cells}
    for cell in old.summary.cells:
        if cell.key not in theirs:
            continue
        found = [*_unequal("settings", cell.model_dump(), theirs[cell.key].model_dump(), _CELL_SETTINGS)]
        before, after = old.facts.get(cell.key), new.facts.get(cell.key)
        if before and after:  # a cell without a good launch has no facts, and is not compared
            found += [
                one.model_copy(update={"kind": _kind(one.field)}) for one in _all_unequal("changed", before, after)
            ]
        for one in found:
            gathered[(one.kind, one.field, one.old, one.new)].append(cell.key)
    for (kind, field, was, now), keys in gathered.items():
        yield Difference(kind=kind, field=field, old=was, new=now, cells=tuple(keys))


def _kind(flag: str) -> Kind:
    return "machine" if flag in _MACHINE_FLAGS or flag.startswith("device") else "changed"


def _all_unequal(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    return _unequal(kind, old, new, tuple(dict.fromkeys([*old, *new])))


def _unequal(
    kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], fields: tuple[str, ...]
) -> Iterator[Difference]:
    for field in fields:
        if old.get(field) != new.get(field):
            yield Difference(kind=kind, field=field, old=_text(old.get(field)), new=_text(new.get(field)))


def _text(value: object) -> str | None:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or None
    return None if value is None else str(value)


def _flat(values: Mapping[str, object], prefix: str) -> dict[str, object]:
    return {f"{prefix}{name}": value for name, value in values.items()}
