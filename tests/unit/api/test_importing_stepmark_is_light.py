"""`import stepmark` loads the standard library alone; a name loads what it needs when it is first used."""

import subprocess
import sys

import pytest

import stepmark

LOADED = "import sys; before = set(sys.modules); {}; print(*sorted(set(sys.modules) - before))"


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a new interpreter loads for this statement."""
    done = subprocess.run([sys.executable, "-c", LOADED.format(statement)], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_import_loads_only_the_standard_library() -> None:
    assert loaded_by("import stepmark") - sys.stdlib_module_names == {"stepmark"}


def test_running_and_loading_import_no_framework_and_no_ray() -> None:
    heavy = {"torch", "tensorflow", "keras", "jax", "ray", "pandas", "arro3", "typer", "IPython"}
    assert not loaded_by("import stepmark; stepmark.run; stepmark.load; stepmark.Result") & heavy


def test_every_public_name_is_there_and_others_are_not() -> None:
    assert all(getattr(stepmark, name) is not None for name in stepmark.__all__)
    assert set(stepmark.__all__) <= set(dir(stepmark))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stepmark.nothing  # noqa: B018
