"""The controller as a process: ticks while it is the active one, and says how it is on two ports."""

import json
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from stepmark.controller import kube
from stepmark.controller.hub_client import HubClient
from stepmark.controller.lease import Lease
from stepmark.controller.meters import Meters
from stepmark.controller.ports import Api, Hub
from stepmark.controller.profiles import profiles_from_file
from stepmark.controller.settings import Settings
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Worker
from stepmark.errors import CannotRun, Stopped


@dataclass
class Pulse:
    """When the last look was completed: a controller that hangs is not well, whatever its process says."""

    stale_seconds: float
    _last: float = field(default_factory=monotonic)

    def beat(self) -> None:
        self._last = monotonic()

    def age_seconds(self) -> float:
        return monotonic() - self._last

    def is_well(self) -> bool:
        return self.age_seconds() <= self.stale_seconds


class Controller:
    """The loop. `say`: where a line for the log goes."""

    def __init__(self, settings: Settings, api: Api, hub: Hub, say: Callable[[str], None]) -> None:
        self.settings, self._say = settings, say
        self.registry = CollectorRegistry()
        self._meters = Meters(self.registry)
        self.pulse = Pulse(settings.stale_seconds)
        self._stop = threading.Event()
        self._lease = _lease(settings, api)
        pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="scenario")
        worker = Worker(api, hub, self._meters, self._active)
        self._ticker = Ticker(api, hub, settings, worker, self._meters, pool)
        self._patience, self._failures = kube.Patience(settings.tick_seconds, 30.0), 0

    def stop(self) -> None:
        """End the loop after what is being done."""
        self._stop.set()

    def run(self) -> None:
        """Until `stop`."""
        if self._lease is not None:
            self._lease.start()
        try:
            while not self._stop.is_set():
                started = monotonic()
                rest = self._look()
                self._stop.wait(max(0.0, rest - (monotonic() - started)))
        finally:
            if self._lease is not None:
                self._lease.stop()
            self._ticker.pool.shutdown(wait=True)

    def _active(self) -> bool:
        return self._lease is None or self._lease.held()

    def _look(self) -> float:
        """One tick, if it is our turn; the seconds from its beginning to the next."""
        active = self._active()
        self._meters.active(active)
        try:
            if active:
                self._ticker.tick()
        except (kube.ApiError, CannotRun) as error:
            self._failures += 1
            self._meters.error("tick")
            self._say(f"tick failed: {error}")
            after = error.retry_after_seconds if isinstance(error, kube.ApiError) else None
            return self._patience.seconds(self._failures, after)
        self._failures = 0
        self.pulse.beat()
        return self.settings.tick_seconds if active else 1.0


def _lease(settings: Settings, api: Api) -> Lease | None:
    if settings.lease_namespace is None:
        return None
    identity = f"{socket.gethostname()}-{os.getpid()}"
    return Lease(api, settings.lease_namespace, settings.lease_name, identity, settings.lease_seconds)


def _health_server(address: str, port: int, pulse: Pulse) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            known, well = self.path == "/healthz", pulse.is_well()
            body = json.dumps({"ok": well, "last_tick_seconds": round(pulse.age_seconds(), 1)}).encode()
            self.send_response(404 if not known else 200 if well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return  # a probe every few seconds

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until SIGTERM or Ctrl-C, then give the Lease back.

    Raises:
        CannotRun: no cluster, no profiles, or a port that is taken.
    """
    profiles_from_file(settings.profiles_file)
    api = kube.Kube.connect(settings.threads)
    hub = HubClient(settings.hub_url, settings.hub_token_file)
    controller = Controller(settings, api, hub, say)
    try:
        health = _health_server(settings.listen, settings.health_port, controller.pulse)
        metrics, _ = start_http_server(settings.metrics_port, settings.listen, controller.registry)
    except OSError as error:
        raise CannotRun(f"expected free ports for /healthz and /metrics, found: {error.strerror}.") from None
    say(f"health at port {health.server_port}, metrics at port {metrics.server_port}")
    try:
        controller.run()
    except (KeyboardInterrupt, Stopped):
        controller.stop()
    finally:
        hub.close()
        health.shutdown()
        metrics.shutdown()
