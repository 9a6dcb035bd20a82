"""The error for a zygote that does not start says how it ended and what it said last."""

from pathlib import Path

import pytest

from stepmark import interpreters
from stepmark.errors import CannotRun
from stepmark.launch.spawn import Zygote


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -9 $$", "the zygote did not start: it was killed by signal 9: it printed nothing"),
        ("echo no such module >&2; exit 3", "the zygote did not start: it ended with exit code 3: no such module"),
        ("exit 0", "the zygote did not start: it ended with exit code 0: it printed nothing"),
    ],
)
def test_the_error_says_how_the_zygote_ended_and_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    monkeypatch.setattr(interpreters, "python_of", lambda engine: str(python))
    zygote = Zygote("sleeper", tmp_path / "z.sock", {})
    with pytest.raises(CannotRun) as caught:
        zygote.wait_until_ready()
    zygote.stop()
    assert str(caught.value) == said
