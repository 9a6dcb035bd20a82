"""`stepmark hub serve`: the hub, and its metrics and health, as two servers in one process.

Health has the server that strangers do not reach, so that a flood of calls to the other one does not look like a dead
process.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from stepmark import __version__
from stepmark.errors import CannotRun
from stepmark.hub import logs, migrate
from stepmark.hub.app import create_app
from stepmark.hub.connections import bounded
from stepmark.hub.database import Database
from stepmark.hub.health import Readiness
from stepmark.hub.metrics import metrics_app
from stepmark.hub.settings import Settings
from stepmark.telemetry.hub_meters import HubMeters

_CONNECTIONS_MOST = 1000
_GRACE_SECONDS = 15
_KEEP_ALIVE_SECONDS = 30


def serve(settings: Settings, database: Database) -> None:
    """Serve until SIGTERM or SIGINT; the requests at hand are then finished.

    Raises:
        CannotRun: An address is taken, or the app cannot be made.
    """
    logs.configure(settings.log_format, settings.log_level)
    meters = HubMeters(CollectorRegistry())
    readiness = Readiness(database)
    app = create_app(settings, database, meters, readiness)
    metrics_and_health = metrics_app(database, meters, readiness)
    with _listening(settings.listen) as hub, _listening(settings.metrics_listen) as metrics:
        most = settings.connections_per_peer_most
        logs.event("started", version=__version__, schema=migrate.newest(), database=migrate.named(database))
        asyncio.run(_serve_both(_config(app, most), hub, _config(metrics_and_health, most), metrics))
        logs.event("stopped")


async def _serve_both(
    of_hub: uvicorn.Config, hub: socket.socket, of_metrics: uvicorn.Config, metrics_socket: socket.socket
) -> None:
    servers = [_Server(of_hub), _Server(of_metrics)]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, servers)
    served = asyncio.gather(*(server.serve([own]) for server, own in zip(servers, (hub, metrics_socket), strict=True)))
    while not all(server.started for server in servers) and not served.done():
        await asyncio.sleep(0.01)
    if not served.done():
        print(f"hub on {_address(hub)}, metrics on {_address(metrics_socket)}/metrics", flush=True)
    await served


class _Server(uvicorn.Server):
    """A server that leaves signals to `_serve_both`, since they are for both servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _end(servers: list[_Server]) -> None:
    """Ask the servers to end; a second signal stops waiting for the requests at hand."""
    for server in servers:
        server.force_exit = server.should_exit
        server.should_exit = True


def _config(app: ASGIApp, per_peer_most: int) -> uvicorn.Config:
    """Return the configuration of a server. It writes no access log, since addresses may hold private names."""
    return uvicorn.Config(
        app, http=bounded(per_peer_most), ws="none", log_config=None, log_level="warning", access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=_CONNECTIONS_MOST,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or int(port) > 65535:
        raise CannotRun(f"{address}: expected an address such as 127.0.0.1:8080, found no port. Add one.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.create_server((host, int(port)), family=family, backlog=256)
    except OSError as error:
        raise CannotRun(
            f"{address}: expected an address to listen on, found: {error.strerror}. Choose another."
        ) from None
    with found:
        # asyncio sets this only on sockets with an explicit protocol; without it each answer waits 40 ms for an ACK.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield found


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
