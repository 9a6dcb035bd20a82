import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from stepmark.errors import CannotRun
from stepmark.orchestrate import folders, guard
from stepmark.orchestrate.folders import leased_ports, own_folders, owned, ray_folder, run_folder, stale_folders
from stepmark.orchestrate.guard import guarded, users_of


def test_a_leased_port_is_not_leased_twice() -> None:
    with leased_ports(20) as first, leased_ports(20) as second:
        assert len({*first, *second}) == 40


def test_a_leased_port_is_below_those_of_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with leased_ports(5) as ports:
        assert max(ports) < low


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0)) as server:
        taken = server.getsockname()[1]
        with leased_ports(1) as [free]:
            pass
        monkeypatch.setattr("stepmark.orchestrate.folders.random.sample", lambda *_: [taken, free])
        with leased_ports(1) as ports:
            assert ports == [free]


def test_folders_of_a_run_are_private_and_removed_at_its_end() -> None:
    with own_folders("test-0123456789"):
        assert stat.S_IMODE(run_folder("test-0123456789").stat().st_mode) == 0o700
    assert not run_folder("test-0123456789").exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files, which is the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "_SHARED_MEMORY", tmp_path / "none")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path


def test_a_link_among_the_locks_is_not_followed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with leased_ports(2) as [linked, free]:
        pass
    locks, victim = temporary / f"stepmark-ports-{os.getuid()}", temporary / "victim"
    victim.write_text("precious")
    (locks / str(linked)).unlink()
    (locks / str(linked)).symlink_to(victim)
    monkeypatch.setattr("stepmark.orchestrate.folders.random.sample", lambda *_: [linked, free])
    with leased_ports(1) as ports:
        assert ports == [free]
    assert victim.read_text() == "precious"


def open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def linked_elsewhere(place: Path) -> None:
    (place.parent / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(place.parent / "elsewhere")


def of_somebody_else(place: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs the right to give a folder away")
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345)


@pytest.mark.parametrize("take", [open_to_all, linked_elsewhere, of_somebody_else, Path.touch])
def test_a_place_for_locks_that_somebody_else_has_taken_is_not_used(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[Path], None]
) -> None:
    place = temporary / f"stepmark-ports-{os.getuid()}"
    take(place)
    with pytest.raises(CannotRun, match="expected a folder that only this user may open"), leased_ports(1):
        pass
    (temporary / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary / "runtime"))
    with leased_ports(1) as [port]:
        assert (temporary / "runtime" / "stepmark-ports" / str(port)).exists()
    assert not place.is_dir() or not list(place.iterdir())


def test_folders_that_a_killed_owner_left_are_removed_at_the_next_start(temporary: Path) -> None:
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from stepmark.orchestrate.folders import owned, ray_folder\n"
        "with owned(ray_folder('killed-1')): print('made', flush=True); input()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(temporary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    assert stale_folders() == []
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert stale_folders() == [ray_folder("killed-1")]
    with owned(run_folder("alive")), guarded([], ""):
        assert [folder.name for folder in temporary.glob("stepmark-*")] == ["stepmark-alive"]
    assert not list(temporary.glob("stepmark-*"))


def test_a_folder_whose_owner_is_unknown_is_left_alone(temporary: Path) -> None:
    (temporary / "stepmark-of-a-person").mkdir(mode=0o700)
    assert stale_folders() == []


@pytest.mark.parametrize(
    ("ending", "said"),
    [("os._exit(1)", True), ("os.kill(os.getpid(), 9)", True), ("pass", False), ("raise KeyboardInterrupt", False)],
)
def test_the_guard_says_the_last_message_of_a_driver_that_ended_abruptly_and_of_no_other(
    ending: str, said: bool
) -> None:
    code = f"""
import os
from contextlib import suppress
from stepmark.orchestrate.guard import guarded
with suppress(KeyboardInterrupt), guarded([], "cut off; go on with --resume"):
    {ending}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.stderr == ("cut off; go on with --resume\n" if said else "")


def test_the_guard_removes_a_folder_though_the_process_that_used_it_has_ended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(ended.pid)
    ended.wait()
    monkeypatch.setattr(guard, "users_of", lambda *_: [process])
    (tmp_path / "left").mkdir()
    guard._clean([tmp_path / "left"], set())
    assert not (tmp_path / "left").exists()


def test_the_guard_finds_a_process_by_its_open_file(tmp_path: Path) -> None:
    code = f"f = open({str(tmp_path / 'log')!r}, 'w'); print('open', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert process.pid in {p.pid for p in users_of([str(tmp_path)], spared=set())}
    assert process.pid not in {p.pid for p in users_of([str(tmp_path)], spared={process.pid})}
    assert process.pid not in {p.pid for p in users_of([str(tmp_path / "lo")], spared=set())}
    process.communicate(b"\n")
