"""Let the ranks of one launch agree on numbers, outside the clock and outside every framework.

Rank 0 holds a TCP connection to every other rank. A token, new for every launch, keeps other programs out.
"""

import hmac
import select
import selectors
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

PEER_GONE = "another rank of this launch has ended"

_VALUE = struct.Struct("!d")
_TOKEN_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_CALLERS_MOST = 64  # Connections without a token at one time; beyond it the oldest is closed.


class ControlGroup:
    """Connect all ranks of a launch. Every call has a time-out and fails at once when another rank is gone.

    Raises:
        OSError: (from every method) another rank is gone or silent.
    """

    def __init__(self, peers: list[socket.socket], rank: int) -> None:
        self._peers, self._rank = peers, rank
        self._finishing = False

    def watch(self, on_loss: Callable[[], None]) -> None:
        """Call `on_loss` from a thread when the connection to another rank closes before `finish`.

        A framework may take minutes to notice a dead rank, or never notice it. The thread sleeps in the kernel, so it
        does not slow the timed loop.
        """
        if self._peers:
            threading.Thread(target=self._wait_for_loss, args=(on_loss,), daemon=True).start()

    def _wait_for_loss(self, on_loss: Callable[[], None]) -> None:
        poll = select.poll()
        for peer in self._peers:
            poll.register(peer, select.POLLRDHUP)
        poll.poll()
        if not self._finishing:
            on_loss()

    def finish(self) -> None:
        """Wait until all ranks are done. From then on another rank may end."""
        self._finishing = True
        self.agree_max(0.0)

    @classmethod
    def join(cls, address: str, token: str, rank: int, world_size: int, timeout_seconds: float) -> Self:
        """Connect all ranks. Rank 0 listens at `address` (host:port); the others retry until it does."""
        deadline = time.monotonic() + timeout_seconds
        if world_size == 1:
            return cls([], rank)
        peers = _accept(address, token, world_size - 1, deadline) if rank == 0 else [_connect(address, token, deadline)]
        for peer in peers:
            peer.settimeout(timeout_seconds)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(peers, rank)

    def agree_max(self, value: float) -> float:
        """Return the largest of all ranks' values on every rank. No rank returns before all have called."""
        return self._agree(value, max)

    def agree_mean(self, value: float) -> float:
        """Return the mean of all ranks' values on every rank."""
        return self._agree(value, statistics.fmean)

    def _agree(self, value: float, combine: Callable[[list[float]], float]) -> float:
        if self._rank == 0:
            value = combine([value, *(_VALUE.unpack(_receive(peer, _VALUE.size))[0] for peer in self._peers)])
            for peer in self._peers:
                peer.sendall(_VALUE.pack(value))
            return value
        for peer in self._peers:
            peer.sendall(_VALUE.pack(value))
            value = _VALUE.unpack(_receive(peer, _VALUE.size))[0]
        return value


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class _Caller:
    """Hold a connection that has not yet sent the whole token."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection, self.until = connection, time.monotonic() + _TOKEN_SECONDS
        self._said = b""

    def has_shown(self, token: bytes) -> bool:
        """Read what has arrived, and return whether the token is complete.

        Raises:
            OSError: the connection is closed or does not come from a rank of this launch.
        """
        chunk = self.connection.recv(len(token) - len(self._said))
        self._said += chunk
        if not chunk or not hmac.compare_digest(self._said, token[: len(self._said)]):
            raise ConnectionRefusedError
        return len(self._said) == len(token)


def _accept(address: str, token: str, count: int, deadline: float) -> list[socket.socket]:
    """Return the connections of `count` ranks, while other programs may connect, send data, stay silent or leave."""
    peers: list[socket.socket] = []
    with socket.create_server(_split(address)) as server, selectors.DefaultSelector() as selector:
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ)
        while len(peers) < count and time.monotonic() < deadline:
            for key, _ in selector.select(_LOOK_SECONDS):
                if key.data is None:
                    _let_in(server, selector)
                elif _is_rank(key.data, token.encode(), selector):
                    peers.append(key.data.connection)
            _send_away(selector)
        _send_away(selector, everybody=True)
    if len(peers) < count:
        raise TimeoutError(f"timed out: {len(peers)} of {count} other ranks have joined")
    return peers


def _let_in(server: socket.socket, selector: selectors.BaseSelector) -> None:
    with suppress(OSError):
        caller = _Caller(server.accept()[0])
        selector.register(caller.connection, selectors.EVENT_READ, caller)


def _is_rank(caller: _Caller, token: bytes, selector: selectors.BaseSelector) -> bool:
    """Return whether the connection has shown the whole token. Mark it as expired if it has shown another."""
    try:
        if not caller.has_shown(token):
            return False
    except OSError:
        caller.until = 0.0
        return False
    selector.unregister(caller.connection)
    return True


def _send_away(selector: selectors.BaseSelector, everybody: bool = False) -> None:
    """Close the connections that have expired, and the oldest where there are too many."""
    waiting = [key.data for key in selector.get_map().values() if key.data is not None]
    late = [caller for caller in waiting if everybody or caller.until < time.monotonic()]
    for caller in {*late, *waiting[:-_CALLERS_MOST]}:
        selector.unregister(caller.connection)
        caller.connection.close()


def _connect(address: str, token: str, deadline: float) -> socket.socket:
    while True:
        try:
            peer = socket.create_connection(_split(address), timeout=max(0.1, deadline - time.monotonic()))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            peer.sendall(token.encode())
            return peer


def _receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = peer.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError(PEER_GONE)
        data += chunk
    return data
