"""Find engines and workloads by name.

Each file in `engines/` or `workloads/` is one, and scenarios use the file's name.

Listing the names imports no framework, because an engine imports its framework only inside its functions. Files whose
names begin with an underscore are shared parts, not entries.
"""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from stepmark.engines._protocol import EngineModule
    from stepmark.workloads._protocol import Workload

_PACKAGE = Path(__file__).parent


def _names(folder: str) -> tuple[str, ...]:
    files = (_PACKAGE / folder).glob("[!_]*.py")
    return tuple(sorted(file.stem.replace("_", "-") for file in files))


@cache
def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, sorted."""
    return _names("engines")


@cache
def workload_names() -> tuple[str, ...]:
    """Return the names of all workloads, sorted."""
    return _names("workloads")


def _module(folder: str, name: str, known: tuple[str, ...]) -> ModuleType:
    if name not in known:
        raise KeyError(f"expected one of the {folder} {', '.join(known)}, found {name!r}")
    return importlib.import_module(f"stepmark.{folder}.{name.replace('-', '_')}")


def load_engine(name: str) -> "EngineModule":
    """Return the module of an engine, with its `SUPPORT` data and what starts and builds it.

    Raises:
        KeyError: there is no engine of this name.
    """
    return cast("EngineModule", _module("engines", name, engine_names()))


def load_workload(name: str) -> "Workload":
    """Return the `WORKLOAD` object of a workload's module.

    Raises:
        KeyError: there is no workload of this name.
    """
    return cast("Workload", _module("workloads", name, workload_names()).WORKLOAD)
