"""stepmark measures which framework, strategy and settings train a model fastest, and how certain that result is.

A run passes through these packages, and each of them owns one part:

    scenario file -> Scenario -> Plan -> Ray Train run -> launches -> LaunchRecords -> analysis -> verdicts
                     scenario/   plan/   orchestrate/     launch/     results/         analysis/   report/
                                                          engines/ x workloads/

Imports go only in one direction along this line; tests/unit/test_imports_go_one_way.py holds the table.

The names in `__all__` are for use from Python and notebooks (docs/python.md). Each is imported when it is first used:
`import stepmark` itself loads nothing but the standard library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepmark import errors
    from stepmark.api.result import Result
    from stepmark.api.running import load, run, validate
    from stepmark.scenario.model import Scenario

__version__ = "0.1.0"
__all__ = ["Result", "Scenario", "__version__", "errors", "load", "run", "validate"]

_HOMES = {
    "Result": "stepmark.api.result",
    "Scenario": "stepmark.scenario.model",
    "load": "stepmark.api.running",
    "run": "stepmark.api.running",
    "validate": "stepmark.api.running",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("stepmark.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'stepmark' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
