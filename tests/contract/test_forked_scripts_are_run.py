"""A script in a fork of its engine's server ends as one in an interpreter of its own."""

from pathlib import Path

import forked

SCRIPT = """
import os, sys
print(__name__, *sys.argv[1:], os.environ.get("WORD"), "seen" in os.environ)
os.environ["seen"] = "yes"
print("said", file=sys.stderr)
"""


def test_a_script_has_its_arguments_and_variables_and_none_of_what_another_left() -> None:
    for word in ("first", "second"):
        ended = forked.run("sleeper", SCRIPT, "a", "b", WORD=word)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"__main__ a b {word} False\n", "said\n")


def test_a_script_is_a_file_which_finds_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'found'")
    (tmp_path / "script.py").write_text("import beside; print(beside.WORD)")
    assert forked.run("sleeper", tmp_path / "script.py").stdout == "found\n"


def test_an_error_and_a_death_are_in_the_exit_code() -> None:
    failed = forked.run("sleeper", "raise ValueError('broken')")
    assert (failed.returncode, failed.stderr.splitlines()[-1]) == (1, "ValueError: broken")
    assert forked.run("sleeper", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == -9
