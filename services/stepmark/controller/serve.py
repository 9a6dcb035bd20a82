"""The controller process: it runs a tick at regular intervals while it is active, and serves health and metrics."""

import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from stepmark.controller import kube
from stepmark.controller.hub_client import HubClient
from stepmark.controller.lease import Lease
from stepmark.controller.log import begin, fields, log
from stepmark.controller.meters import Meters
from stepmark.controller.ports import Api, Hub
from stepmark.controller.profiles import profiles_from_file
from stepmark.controller.settings import Settings
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Worker
from stepmark.errors import CannotRun, Stopped


@dataclass
class Pulse:
    """When the last tick was completed, and when the loop last did anything.

    A controller without an API server is stale, which a restart would not fix. A controller whose loop hangs is stuck.
    """

    stale_seconds: float
    stuck_seconds: float
    _looked: float = field(default_factory=monotonic)
    _turned: float = field(default_factory=monotonic)

    def beat(self) -> None:
        """Record that a tick was completed."""
        self._looked = self._turned = monotonic()

    def turn(self) -> None:
        """Record that something was done or has failed, so the loop does not hang."""
        self._turned = monotonic()

    def age_seconds(self) -> float:
        """Return the seconds since the last completed tick."""
        return monotonic() - self._looked

    def is_ready(self) -> bool:
        """Return whether the last completed tick is recent enough for /readyz."""
        return self.age_seconds() <= self.stale_seconds

    def is_alive(self) -> bool:
        """Return whether the loop did anything recently enough for /healthz."""
        return monotonic() - self._turned <= self.stuck_seconds


class Controller:
    """The loop that runs one tick after another."""

    def __init__(self, settings: Settings, api: Api, hub: Hub) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self._meters = Meters(self.registry)
        self.pulse = Pulse(settings.stale_seconds, settings.stuck_seconds)
        self._stop = threading.Event()
        self._lease = _lease(settings, api)
        pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="scenario")
        worker = Worker(api, hub, self._meters, self._active)
        self._ticker = Ticker(api, hub, settings, worker, self._meters, pool, self.pulse.turn)
        self._patience, self._failures = kube.Patience(settings.tick_seconds, 30.0), 0
        self._was_active: bool | None = None

    def stop(self) -> None:
        """End the loop once the current tick is done."""
        self._stop.set()

    def run(self) -> None:
        """Run ticks until `stop` is called."""
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
        """Run one tick if this controller is active. Return the seconds from its start to the next one."""
        active = self._note_turn()
        self.pulse.turn()
        try:
            if active:
                self._ticker.tick()
        except Exception as error:  # Whatever the error is, the next tick may succeed.
            self._failures += 1
            self._meters.error("tick")
            log.error("a look at all scenarios failed, %d in a row", self._failures, exc_info=error)
            after = error.retry_after_seconds if isinstance(error, kube.ApiError) else None
            return self._patience.seconds(self._failures, after)
        self._failures = 0
        self.pulse.beat()
        return self.settings.tick_seconds if active else 1.0

    def _note_turn(self) -> bool:
        active = self._active()
        if active is not self._was_active:
            log.info("this controller is active" if active else "another controller has the Lease; this one waits")
        self._was_active = active
        self._meters.active(active)
        return active


def _lease(settings: Settings, api: Api) -> Lease | None:
    if settings.lease_namespace is None:
        return None
    identity = f"{socket.gethostname()}-{os.getpid()}"
    return Lease(api, settings.lease_namespace, settings.lease_name, identity, settings.lease_seconds)


def _health_server(address: str, port: int, pulse: Pulse) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            known = self.path in ("/healthz", "/readyz")
            well = pulse.is_alive() if self.path == "/healthz" else pulse.is_ready()
            body = json.dumps({"ok": well, "last_tick_seconds": round(pulse.age_seconds(), 1)}).encode()
            self.send_response(404 if not known else 200 if well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return  # Probes come every few seconds and are not logged.

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def serve(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C, then release the Lease.

    Raises:
        CannotRun: there is no cluster, there are no profiles, or a port is in use.
    """
    begin(settings.log_format, settings.log_level)
    profiles_from_file(settings.profiles_file)
    api = kube.Kube.connect(settings.threads)
    hub = HubClient(settings.hub_url, settings.hub_token_file)
    controller = Controller(settings, api, hub)
    try:
        health = _health_server(settings.listen, settings.health_port, controller.pulse)
        metrics, _ = start_http_server(settings.metrics_port, settings.listen, controller.registry)
    except OSError as error:
        raise CannotRun(
            f"expected free ports for /healthz and /metrics, found: {error.strerror}. Choose others."
        ) from None
    ports = fields(health_port=health.server_port, metrics_port=metrics.server_port)
    log.info("this controller looks after %s", ", ".join(settings.namespaces) or "all namespaces", extra=ports)
    try:
        controller.run()
    except (KeyboardInterrupt, Stopped):
        controller.stop()
    finally:
        hub.close()
        health.shutdown()
        metrics.shutdown()
