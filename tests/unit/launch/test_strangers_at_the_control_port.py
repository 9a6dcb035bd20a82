"""A stranger at rank 0's port while ranks join neither gets in, nor keeps ranks out, nor fails the launch."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from stepmark.launch import group
from stepmark.launch.group import ControlGroup
from stepmark.orchestrate.folders import leased_ports

TOKEN = "secret"
RANKS = 3


def call(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=120)
        except ConnectionRefusedError:
            continue


def reset(stranger: socket.socket) -> None:
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stranger.close()


STRANGERS: dict[str, Callable[[socket.socket], object]] = {
    "silent": lambda stranger: None,
    "garbage": lambda stranger: stranger.sendall(b"GET / HTTP/1.1\r\n\r\n"),
    "half a token": lambda stranger: stranger.sendall(TOKEN[:3].encode()),
    "closes": lambda stranger: stranger.close(),
    "resets": reset,
}


@pytest.fixture
def port() -> Iterator[int]:
    with leased_ports(1) as [port]:
        yield port


def join(port: int, rank: int, groups: dict[int, ControlGroup]) -> threading.Thread:
    def joining() -> None:
        groups[rank] = ControlGroup.join(f"127.0.0.1:{port}", TOKEN, rank, RANKS, 20)

    thread = threading.Thread(target=joining)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", STRANGERS)
def test_ranks_join_beside_strangers(port: int, kind: str) -> None:
    """There are more strangers than rank 0 listens to at one time."""
    groups: dict[int, ControlGroup] = {}
    with ExitStack() as stack:
        threads = [join(port, 0, groups)]
        for rank in (1, 2):
            for _ in range(40):
                STRANGERS[kind](stack.enter_context(call(port)))
            threads.append(join(port, rank, groups))
        for thread in threads:
            thread.join()
    assert sorted(groups) == [0, 1, 2]
    answers: list[float] = []
    threads = [threading.Thread(target=lambda r=r: answers.append(groups[r].agree_max(r))) for r in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [2, 2, 2]


@pytest.mark.parametrize("kind", ["silent", "half a token"])
def test_a_stranger_has_only_seconds_to_send_the_token_and_not_the_time_of_the_launch(
    port: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "_TOKEN_SECONDS", 0.01)
    groups: dict[int, ControlGroup] = {}
    rank0 = join(port, 0, groups)
    with call(port) as stranger:
        STRANGERS[kind](stranger)
        assert stranger.recv(1) == b""
    others = [join(port, rank, groups) for rank in (1, 2)]
    for thread in (rank0, *others):
        thread.join()
    assert sorted(groups) == [0, 1, 2]


def test_the_error_of_a_timeout_counts_the_ranks_that_have_joined(port: int) -> None:
    with pytest.raises(TimeoutError, match="timed out: 0 of 2 other ranks have joined"):
        ControlGroup.join(f"127.0.0.1:{port}", TOKEN, 0, RANKS, 0.01)
