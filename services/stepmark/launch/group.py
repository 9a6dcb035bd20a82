"""The ranks of one launch agree on numbers, outside the clock and outside every framework.

A star of TCP connections with rank 0 in the middle. A token, new for every launch, keeps strangers out.
"""

import hmac
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable
from typing import Self

PEER_GONE = "another rank of this launch is gone"

_VALUE = struct.Struct("!d")


class ControlGroup:
    """All ranks of a launch. Every call has a time-out and fails at once when a peer is gone.

    Raises (from every method): OSError, with the peer's absence or silence as its reason.
    """

    def __init__(self, peers: list[socket.socket], rank: int) -> None:
        self._peers, self._rank = peers, rank
        self._finishing = False

    def watch(self, on_loss: Callable[[], None]) -> None:
        """Call `on_loss` from a thread when a peer's connection closes before `finish`.

        A framework may take minutes to notice a dead peer, or never. The thread sleeps in the kernel until then, so it
        costs the timed loop nothing.
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
        """All ranks are done: from here on a peer may go."""
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
        """The largest of all ranks' values, known to all. No rank returns before every rank has called."""
        return self._agree(value, max)

    def agree_mean(self, value: float) -> float:
        """The mean of all ranks' values, known to all."""
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


def _accept(address: str, token: str, count: int, deadline: float) -> list[socket.socket]:
    peers: list[socket.socket] = []
    with socket.create_server(_split(address)) as server:
        while len(peers) < count:
            server.settimeout(max(0.1, deadline - time.monotonic()))
            peer, _ = server.accept()
            peer.settimeout(max(0.1, deadline - time.monotonic()))
            if hmac.compare_digest(_receive(peer, len(token)), token.encode()):
                peers.append(peer)
            else:
                peer.close()
    return peers


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
