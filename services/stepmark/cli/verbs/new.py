"""`stepmark new workload`: write a package with an own model that runs as it is."""

import re
from pathlib import Path

import jinja2
import typer

from stepmark.errors import CannotRun, printable
from stepmark.strict import NAME_PATTERN

_BASES = {"torch": "TorchModel", "keras": "KerasModel", "both": "ModelPair"}
_CANDIDATES = {
    "torch": ["torch"],
    "keras": ["keras-tensorflow", "keras-torch"],
    "both": ["torch", "keras-tensorflow"],
}
_PURPOSES = {
    "torch": "How much faster is the model compiled?",
    "keras": "On which backend does the model train fastest?",
    "both": "In which framework does the model train fastest?",
}


def workload(name: str, framework: str, folder: Path | None) -> None:
    """Write the package `name` into a new folder, and say how to install and run it.

    Raises:
        CannotRun: the name is no package's, or the folder exists.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > 40:
        raise CannotRun(
            f"expected a name of small letters, digits and dashes, such as acme-unet, found {printable(name)!r}."
        )
    target = folder or Path(name)
    for path, text in files(name, framework).items():
        _write(target / path, text)
    typer.echo(f"{target}: written. Now:\n  pip install -e {target}\n  stepmark run {target / 'scenario.yaml'}")


def files(name: str, framework: str) -> dict[str, str]:
    """Return the text of each file of the package."""
    module = name.replace("-", "_")
    known = {
        "name": name,
        "module": module,
        "framework": framework,
        "base": _BASES[framework],
        "candidates": _CANDIDATES[framework],
        "purpose": _PURPOSES[framework],
    }
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("stepmark.cli"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701  (the files are Python, TOML and YAML, and the name is checked)
    )
    names = {
        "pyproject.toml": "pyproject.toml",
        f"{module}.py": f"{framework}.py",
        f"test_{module}.py": "test_model.py",
        "scenario.yaml": "scenario.yaml",
    }
    return {path: templates.get_template(f"{name}.jinja").render(known) for path, name in names.items()}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CannotRun(
            f"{path}: expected to write a new file, found: {error.strerror}. Choose another name."
        ) from None
