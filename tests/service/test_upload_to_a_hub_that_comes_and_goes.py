"""`stepmark run --hub` while the hub comes and goes: the run does not notice, and every launch arrives in the end."""

import subprocess
from collections.abc import Callable

from fixed_hub import FixedHub

from conftest import PATIENCE_SECONDS, CommandLine, wait_for_line

pytest_plugins = ["fixed_hub"]


def test_a_hub_that_starts_late_gets_every_launch(
    stepmark: CommandLine, killable_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    running = start(*killable_hub.options)
    wait_for_line(running, "hub: not available")
    wait_for_line(running, "[1/4]")
    killable_hub.begin()
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, err
    assert killable_hub.launches(stepmark.folder / "out") == 4


def test_a_hub_that_is_killed_and_restarted_gets_every_launch(
    stepmark: CommandLine, killable_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killable_hub.begin()
    running = start(*killable_hub.options)
    wait_for_line(running, "[2/4]")
    killable_hub.kill()
    wait_for_line(running, "[3/4]")
    killable_hub.begin()
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, err
    assert "all of it is there" in err
    assert killable_hub.launches(stepmark.folder / "out") == 4
    assert killable_hub.run(stepmark.folder / "out")["run"]["outcome"] == "complete"


def test_a_run_whose_hub_is_away_at_the_end_succeeds_and_is_uploaded_later(
    stepmark: CommandLine, killable_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    killable_hub.begin()
    running = start(*killable_hub.options, "--hub-drain-seconds", "0.5")
    wait_for_line(running, "[2/4]")
    killable_hub.kill()
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, err
    assert "hub: not all of it is there" in err
    assert f"Catch up with: stepmark upload out --hub {killable_hub.url}" in err
    failed = stepmark("upload", "out", *killable_hub.options, "--hub-drain-seconds", "0.5")
    assert failed.returncode == 3
    assert f"Try again with: stepmark upload out --hub {killable_hub.url}" in failed.stderr
    killable_hub.begin()
    done = stepmark("upload", "out", *killable_hub.options)
    assert done.returncode == 0, done.stderr
    assert "has all 4 launches" in done.stdout
    assert killable_hub.launches(stepmark.folder / "out") == 4
    assert killable_hub.run(stepmark.folder / "out")["run"]["outcome"] == "complete"
