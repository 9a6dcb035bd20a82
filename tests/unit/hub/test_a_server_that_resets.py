"""A PostgreSQL that hangs up while it is being connected to is a database that is away, not a surprise."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from stepmark.hub.database import Database

RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


@pytest.fixture
def resetting_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        yield server.getsockname()[1]


def test_a_reset_while_connecting_is_the_databases_error(resetting_port: int) -> None:
    database = Database(f"postgresql+pg8000://hub@127.0.0.1:{resetting_port}/hub")
    with pytest.raises(sa.exc.InterfaceError), database.read():
        pass
