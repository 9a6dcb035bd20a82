"""Limits on a request's head, in time and size, and on the number of connections from one address."""

import asyncio
from collections import Counter

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
HEAD_BYTES_MOST = 64 << 10


def bounded(per_peer_most: int) -> type[HttpToolsProtocol]:
    """Return a protocol that allows one address at most `per_peer_most` connections, and closes further ones."""

    class Bounded(BoundedProtocol):
        peers: Counter[str] = Counter()  # noqa: RUF012  (shared by one server's connections)
        most = per_peer_most

    return Bounded


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits on the time and size of a request's head, which uvicorn does not limit."""

    peers: Counter[str]
    most: int
    _head_bytes: int | None = 0
    _head_timer: asyncio.TimerHandle | None = None
    _peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, close it if its address has too many, and wait for its first head."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self.peers[self._peer] += 1
        if self.peers[self._peer] > self.most:
            transport.abort()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of the head, and close the connection if they are too many."""
        if self._head_bytes is not None:
            if self._head_timer is None:
                self._await_head()  # the next request on a connection that was kept open
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > HEAD_BYTES_MOST:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Stop the time and the count of the head."""
        self._forget_head()
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin to count the next head."""
        self._head_bytes = 0
        super().on_message_complete()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop the time of the head, and count one connection less of this address."""
        self._forget_head()
        self.peers[self._peer] -= 1
        if not self.peers[self._peer]:
            del self.peers[self._peer]
        super().connection_lost(error)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
