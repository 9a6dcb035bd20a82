"""A file that is not what was written ends with a sentence and exit code 3, or gives the same figures as before."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import ROOT
from stepmark.cli.options import HubChoices
from stepmark.cli.verbs.compare import _side
from stepmark.errors import CannotRun
from stepmark.results.store import FILE, SqliteStore
from stepmark.runs.summaries import summary_of
from unit.results.damage import KINDS, damaged

OLD = sorted((ROOT / "tests" / "corpus" / "results").glob("*.db"))


def copy(file: Path, folder: Path) -> Path:
    """Make a run's folder with a copy of this file, and add digests to the copy."""
    folder.mkdir()
    shutil.copy(file, folder / FILE)
    SqliteStore.open_to_go_on(folder).close()
    return folder


def read_by_compare(folder: Path) -> str:
    side = _side(folder, HubChoices())
    return repr((side.run, side.summary, side.facts))


def read_to_resume(folder: Path) -> str:
    with closing(SqliteStore.open_to_go_on(folder)) as store:
        return repr((store.run(), sorted(store.headers(), key=lambda header: header.launch_id), store.certified()))


def read_or_refused(read: Callable[[Path], str], folder: Path) -> str:
    try:
        return read(folder)
    except CannotRun as refusal:
        return f"refused: {refusal}"


READERS: dict[str, Callable[[Path], str]] = {
    "results, report": lambda folder: summary_of(folder).model_dump_json(),
    "compare": read_by_compare,
    "run --resume": read_to_resume,
}


@pytest.mark.parametrize("kind", KINDS)
def test_of_200_damaged_files_each_is_refused_or_gives_what_was_measured(tmp_path: Path, kind: str) -> None:
    whole = copy(OLD[-1], tmp_path / "whole")
    data = (whole / FILE).read_bytes()
    expected = {name: read(whole) for name, read in READERS.items()}
    refused = f"refused: {whole / FILE}: expected results of stepmark, found "
    for seed in range(50):
        folder = tmp_path / str(seed)
        folder.mkdir()
        for name, read in READERS.items():
            (folder / FILE).write_bytes(damaged(data, kind, seed))
            found = read_or_refused(read, folder).replace(str(folder), str(whole))
            assert found == expected[name] or found.startswith(refused), (name, seed)
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_without_digests_ends_with_a_sentence(tmp_path: Path, kind: str) -> None:
    """Without digests other figures are possible, of which a message warns."""
    data = OLD[-1].read_bytes()
    for seed in range(50):
        (tmp_path / FILE).write_bytes(damaged(data, kind, seed))
        for read in READERS.values():
            assert read_or_refused(read, tmp_path)


@pytest.mark.parametrize(
    "lost",
    [
        "delete from launches where rowid = 2",
        "delete from launches",
        "delete from seals",
        "drop table seals",
        "delete from run",
        "insert into launches select launch_id || 'x', block, position, sha256, header, step_nanoseconds_npz"
        " from launches limit 1",
        "update launches set block = 7 where rowid = 2",
        "update run set document = replace(document, '\"minSteps\":20', '\"minSteps\":30')",
        "update run set document = replace(document, 'plain', 'Plain!')",
        "pragma user_version = 0",
        "pragma user_version = 2",
    ],
)
def test_a_row_that_is_lost_added_or_changed_without_a_broken_page_is_noticed(tmp_path: Path, lost: str) -> None:
    folder = copy(OLD[-1], tmp_path / "run")
    with closing(sqlite3.connect(folder / FILE)) as file, file:
        file.execute(lost)
    with pytest.raises(CannotRun, match="expected results of stepmark, found "):
        summary_of(folder)


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_file_of_an_older_version_is_read_with_a_warning_that_it_has_no_digests(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(file, tmp_path / FILE)
    before = summary_of(tmp_path)
    assert "without digests: damage would not be seen" in capsys.readouterr().err
    assert before.blocks == 2
    assert not before.failed
    SqliteStore.open_to_go_on(tmp_path).close()
    assert summary_of(tmp_path) == before
    assert capsys.readouterr().err == ""
