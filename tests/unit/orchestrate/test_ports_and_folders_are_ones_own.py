import socket
import stat
from pathlib import Path

import pytest

from stepmark.orchestrate.folders import leased_ports, own_folders, run_folder
from stepmark.orchestrate.guard import users_of


def test_a_leased_port_is_not_given_twice() -> None:
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


def test_folders_are_private_and_removed() -> None:
    with own_folders("test-0123456789"):
        assert stat.S_IMODE(run_folder("test-0123456789").stat().st_mode) == 0o700
    assert not run_folder("test-0123456789").exists()


def test_the_guard_finds_a_process_by_its_open_file(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"f = open({str(tmp_path / 'log')!r}, 'w'); print('open', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert process.pid in {p.pid for p in users_of([str(tmp_path)], spared=set())}
    assert process.pid not in {p.pid for p in users_of([str(tmp_path)], spared={process.pid})}
    assert process.pid not in {p.pid for p in users_of([str(tmp_path / "lo")], spared=set())}
    process.communicate(b"\n")
