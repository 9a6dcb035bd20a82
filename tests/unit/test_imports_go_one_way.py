"""Section 8 of docs/design.md as tests: which package may import which, and where frameworks may be imported."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "services" / "stepmark"

GROUND = {"errors", "terms", "strict"}
"""What every package may import. These modules import only themselves."""
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set() for name in GROUND},
    "catalog": {"engines", "workloads"},  # their protocols, for the type checker only
    "interpreters": {"catalog"},
    "workloads": set(),
    "engines": {"workloads"},
    "scenario": {"catalog", "workloads"},  # their protocol, for the type checker only
    "plan": {"catalog", "scenario", "engines"},  # an engine's data, for the type checker only
    "results": {"interpreters", "scenario", "plan"},
    "devices": {"results"},
    "parity": {"engines", "workloads", "plan", "results"},
    "launch": {"catalog", "interpreters", "engines", "workloads", "scenario", "plan", "results", "devices", "parity"},
    "orchestrate": {
        *("catalog", "interpreters", "engines", "workloads", "scenario", "plan", "parity", "launch", "results"),
        "devices",
    },
    "analysis": {"catalog", "scenario", "plan", "results"},
    "report": {"scenario", "analysis", "results"},
    "questions": {"scenario", "analysis", "report"},
    "telemetry": {"plan", "results"},
    "publish": {"results", "scenario"},
    "hub": {"catalog", "scenario", "plan", "results", "analysis", "report", "telemetry"},
    "controller": {"catalog", "scenario", "results", "telemetry", "publish"},
    "runs": {
        *("catalog", "interpreters", "scenario", "plan", "results", "devices", "orchestrate", "analysis", "report"),
    },
    "api": {"scenario", "results", "analysis", "report", "runs"},
    "cli": {
        *("catalog", "interpreters", "scenario", "plan", "results", "devices", "orchestrate", "analysis", "report"),
        *("runs", "questions", "telemetry", "publish", "hub", "controller"),
    },
    "generate": {"catalog", "workloads", "scenario", "questions", "controller", "telemetry"},  # only files
}
FRAMEWORKS = {"torch", "tensorflow", "keras", "tf_keras", "jax", "ray"}


def imports(path: Path, module_level_only: bool = False) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every import, or only of those that run when the module is imported."""
    tree = ast.parse(path.read_text())
    if module_level_only:
        nodes = [n for top in tree.body if isinstance(top, ast.Import | ast.ImportFrom) for n in [top]]
    else:
        nodes = list(ast.walk(tree))  # type: ignore[arg-type]
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def owner(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in PACKAGE.rglob("*.py") if owner(path) not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_imports_only_packages_that_the_table_allows(path: Path) -> None:
    for line, name in imports(path):
        if name.startswith("stepmark."):
            target = name.split(".")[1]
            allowed = MAY_IMPORT[owner(path)] | GROUND | {owner(path), "__version__"}
            assert target in allowed, f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_a_module_imports_no_framework(path: Path) -> None:
    for line, name in imports(path, module_level_only=True):
        assert name.split(".")[0] not in FRAMEWORKS, f"{path}:{line} imports {name}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if owner(p) != "orchestrate"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_only_orchestrate_imports_ray(path: Path) -> None:
    assert not [name for _, name in imports(path) if name.split(".")[0] == "ray"]


def test_no_package_can_import_itself_through_others() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_every_package_is_in_the_table() -> None:
    assert {owner(path) for path in FILES} == set(MAY_IMPORT)


def test_the_command_line_the_hub_and_the_python_interface_load_without_a_framework() -> None:
    code = (
        "import sys, stepmark.cli.verbs.run, stepmark.cli.verbs.report, stepmark.cli.verbs.doctor, stepmark.hub.app\n"
        "import stepmark.api.running\n"
        f"loaded = {FRAMEWORKS!r} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
