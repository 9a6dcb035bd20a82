"""docs/python.md: every name in it exists, every public name is in it, and its examples run."""

import inspect
import re
from pathlib import Path

import pytest

import stepmark
from conftest import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
NAMES = PAGE.split("## All names")[1]
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def public_names() -> set[str]:
    own = {*vars(stepmark.Result), *inspect.get_annotations(stepmark.Result), "folder", "summary"}
    members = {f"Result.{name}" for name in own if not name.startswith("_")}
    return {f"stepmark.{name}" for name in stepmark.__all__} | members


def test_the_table_lists_exactly_the_public_names() -> None:
    listed = set(re.findall(r"`((?:stepmark|Result)\.\w+)", NAMES))
    assert listed == public_names()


@pytest.mark.parametrize("name", ["run", "load", "validate"])
def test_the_table_gives_the_arguments_of_every_function(name: str) -> None:
    parameters = inspect.signature(getattr(stepmark, name)).parameters.values()
    written = re.search(rf"`stepmark\.{name}\((.*?)\)`", NAMES)
    assert written is not None
    assert [one.split("=")[0] for one in written[1].split(", ") if one != "*"] == [one.name for one in parameters]
    for one in parameters:
        if one.default is not inspect.Parameter.empty:
            assert f"{one.name}={one.default!r}".replace("'", '"') in written[1]


def test_the_table_names_errors_that_exist() -> None:
    row = next(line for line in NAMES.splitlines() if line.startswith("| `stepmark.errors`"))
    for name in re.findall(r"`([A-Z]\w+)`", row):
        assert issubclass(getattr(stepmark.errors, name), stepmark.errors.StepmarkError)


def test_the_examples_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(compile(example, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "slow (eager)" in said  # what is said of it depends on how busy the machine is
    assert "Add --resume, or choose another --out." in said
