"""A PostgreSQL server that resets a connection while it is being made counts as a database that is away."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from stepmark.hub.database import Database

RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


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


def test_a_reset_while_connecting_is_raised_as_an_error_of_the_database(resetting_port: int) -> None:
    database = Database(f"postgresql+pg8000://hub@127.0.0.1:{resetting_port}/hub")
    with pytest.raises(sa.exc.InterfaceError), database.read():
        pass
