"""Find engines and workloads by name, through the entry points of installed packages.

A package declares them in the groups `stepmark.engines` and `stepmark.workloads`. stepmark's own are found in the same
way and have plain names, such as `mlp`; those of other packages are named `PACKAGE/NAME`, such as `acme/unet`, so none
of them can take the place of another. Listing the names imports nothing.
"""

import re
from collections import defaultdict
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Literal, cast

from stepmark.errors import CannotRun

if TYPE_CHECKING:
    from stepmark.engines._protocol import EngineModule
    from stepmark.workloads._protocol import Workload

Kind = Literal["engines", "workloads"]

_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
FOREIGN_PATTERN = f"{_PART}/{_PART}"
"""Match names of what other packages bring: the package's normalized name, and the name of the entry point."""
NAME_CHARACTERS_MOST = 60
"""A zygote's socket is named after its engine, and the path of a socket has at most 107 characters."""
LOCAL = "local"
"""Stand for a package in the names of workloads that are in a file of the person's own (`--workload`)."""
_OWN = "stepmark"
_PLAIN, _FOREIGN = re.compile(_PART), re.compile(FOREIGN_PATTERN)


def engine_names() -> tuple[str, ...]:
    """Return the names of stepmark's own engines, sorted."""
    return _own_names("engines")


def workload_names() -> tuple[str, ...]:
    """Return the names of stepmark's own workloads, sorted."""
    return _own_names("workloads")


def names_of_others(kind: Kind) -> tuple[str, ...]:
    """Return the names of what other packages bring, sorted."""
    return tuple(sorted(name for name in _entries(kind) if "/" in name))


def is_foreign(name: str) -> bool:
    """Return whether the name is one that only another package can have. It need not be installed."""
    return len(name) <= NAME_CHARACTERS_MOST and _FOREIGN.fullmatch(name) is not None


def why_not(kind: Kind, name: str) -> str | None:
    """Return why nothing of this name can be loaded here, with what to do, or None. Nothing is imported."""
    entries = _entries(kind).get(name, ())
    if len(entries) == 1 and (is_foreign(name) or _is_own(kind, entries[0])):
        return None
    if entries:
        found, owner = " and ".join(sorted(entry.value for entry in entries)), name.rpartition("/")[0] or _OWN
        return f"{name}: expected one module of the package {owner}, found {found}. Uninstall what does not belong."
    if name.startswith(f"{LOCAL}/"):
        return f"expected --workload FILE:NAME for {name!r}, found none. Give the file with the model."
    known = ", ".join([*_own_names(kind), *names_of_others(kind)])
    package = name.partition("/")[0]
    fix = f"Install the package {package}, which should bring it" if is_foreign(name) else "Choose one of them"
    return f"expected one of the {kind} that are installed ({known}), found {name!r}. {fix}."


def package_of(kind: Kind, name: str) -> tuple[str, str | None]:
    """Return the name and the version of the package that brings PACKAGE/NAME; the version is None if unknown."""
    package = name.partition("/")[0]
    entries = _entries(kind).get(name, ())
    found = entries[0].dist if entries else None
    return package, found.metadata["Version"] if found is not None else None


def load_engine(name: str) -> "EngineModule":
    """Return the module of an engine, with its `SUPPORT` data and what starts and builds it.

    Raises:
        CannotRun: there is no engine of this name, or two packages claim it.
    """
    return cast("EngineModule", _load("engines", name))


def load_workload(name: str) -> "Workload":
    """Return the object of a workload. An entry point may name the object, or a class that makes it.

    Raises:
        CannotRun: there is no workload of this name, or two packages claim it.
    """
    found = _load("workloads", name)
    return cast("Workload", found() if isinstance(found, type) else found)


@cache
def _load(kind: Kind, name: str) -> object:
    refusal = why_not(kind, name)
    if refusal is not None:
        raise CannotRun(refusal)
    return _entries(kind)[name][0].load()


@cache
def _own_names(kind: Kind) -> tuple[str, ...]:
    return tuple(sorted(name for name, found in _entries(kind).items() if any(_is_own(kind, one) for one in found)))


def _is_own(kind: Kind, entry: metadata.EntryPoint) -> bool:
    return entry.module.startswith(f"{_OWN}.{kind}.")


@cache
def _entries(kind: Kind) -> dict[str, tuple[metadata.EntryPoint, ...]]:
    """Return the entry points under each name. More than one under a name are a conflict, and none of them is used."""
    found: dict[str, dict[str, metadata.EntryPoint]] = defaultdict(dict)
    for package in metadata.distributions():
        if f"[{_OWN}.{kind}]" not in (package.read_text("entry_points.txt") or ""):
            continue
        prefix = re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
        for entry in package.entry_points.select(group=f"{_OWN}.{kind}"):
            name = entry.name if prefix == _OWN else f"{prefix}/{entry.name}"
            if prefix != LOCAL and (_PLAIN.fullmatch(name) or is_foreign(name)):
                found[name][entry.value] = entry
    if not any("/" not in name for name in found):
        raise CannotRun(
            f"expected stepmark's own {kind} among the entry points of installed packages, found none. "
            "Install stepmark anew: pip install -e ., or make in its folder."
        )
    return {name: tuple(entries.values()) for name, entries in found.items()}
