"""What this machine offers to a plan, and whether everything that a plan needs is installed."""

import os
import shutil

from stepmark import catalog, interpreters
from stepmark.errors import CannotRun
from stepmark.plan.blocks import Plan
from stepmark.plan.cells import PROGRAMS, Machine

_COMPILERS = {"c++": ("c++", "g++", "clang++")}


def this_machine() -> Machine:
    """Return what this machine offers. Each worker has a core of its own.

    In a cluster (RAY_ADDRESS is set) only Ray knows the number of places, and it refuses a run that needs too many.
    """
    places = 4096 if "RAY_ADDRESS" in os.environ else len(os.sched_getaffinity(0))
    return Machine(places=places, programs=tuple(name for name in PROGRAMS if find_program(name)))


def find_program(name: str) -> str | None:
    """Return the path of a program that engines start, or None. CXX overrides the search, as it does for torch."""
    for candidate in (os.environ.get("CXX"), *_COMPILERS[name]):
        if candidate and (path := shutil.which(candidate)):
            return path
    return None


def missing_modules(engine: str) -> list[str]:
    """Return the modules that an engine needs and that its interpreter lacks. None of them is imported."""
    return interpreters.missing(interpreters.python_of(engine), catalog.load_engine(engine).SUPPORT.requires)


def _lacks_digits(engine: str) -> bool:
    """Return whether the engine's interpreter cannot read the digits."""
    return bool(interpreters.missing(interpreters.python_of(engine), ["sklearn"]))


def install_hint(engine: str) -> str:
    """Return the command that installs an engine's packages, or an empty string."""
    extra = catalog.load_engine(engine).SUPPORT.extra
    return f"pip install 'stepmark[{extra}]'" if extra else ""


def check_installed(plan: Plan) -> None:
    """Check that all engines and data sources of the plan are installed.

    Raises:
        CannotRun: something is missing; the message names all of it.
    """
    engines = dict.fromkeys(cell.engine for cell in plan.measurable)
    problems = [
        f"engine {engine}: expected the module {', '.join(missing)}, found none. {install_hint(engine)}"
        for engine in engines
        if (missing := missing_modules(engine))
    ]
    if plan.scenario.spec.data.source == "digits" and any(map(_lacks_digits, engines)):
        problems.append("data source digits: expected scikit-learn, found none. pip install 'stepmark[digits]'")
    if problems:
        raise CannotRun("\n".join(problems))
