"""A controller for a real Prometheus to scrape: its own loop and registry, on the tests' own API server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import start_http_server

from conftest import scenario_document
from running_hub import wait_for
from stepmark.controller import kube
from stepmark.controller.facts import AwaitedRun, HubView
from stepmark.controller.serve import Controller
from stepmark.controller.settings import Settings
from stepmark.results.wire import AttemptEnd
from stepmark.telemetry import names
from unit.controller.fake_api import FakeApi

RAYJOB: dict[str, Any] = {
    "properties": {"spec": {"properties": {"rayClusterSpec": {"properties": {"rayVersion": {}}}}}}
}
CRD = {
    "metadata": {"name": "rayjobs.ray.io"},
    "spec": {"versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": RAYJOB}}]},
}


class NoHub:
    """A hub that accepts every call and knows no run."""

    def register(self, scenario: dict[str, Any], number: int, token: str) -> None:
        return None

    def view(self, run_id: str, number: int) -> HubView | None:
        return HubView(answering_seconds=1000)

    def end(self, run_id: str, number: int, end: AttemptEnd) -> None:
        return None

    def awaited(self, namespace: str | None) -> list[AwaitedRun]:
        return []


@contextmanager
def controller(folder: Path) -> Iterator[str]:
    """Run a controller in trouble; yields HOST:PORT of its metrics.

    Two scenarios start and one is refused; one attempt has lost its RayJob; events are refused.
    """
    api = FakeApi()
    api.create(kube.CRDS, None, CRD)
    for name, profile in (("one", "default"), ("two", "default"), ("refused", "nowhere")):
        metadata = {"name": name, "namespace": "runs"}
        api.create(kube.SCENARIOS, "runs", scenario_document(profile=profile) | {"metadata": metadata})
    api.on_call = _no_events
    profiles = folder / "profiles.yaml"
    profiles.write_text("default: {image: 'runner:1'}\n")
    settings = Settings(profiles_file=profiles, hub_url="http://hub", hub_token_file=profiles, tick_seconds=0.2)
    served = Controller(settings, api, NoHub())
    server, _ = start_http_server(0, "127.0.0.1", served.registry)
    thread = threading.Thread(target=served.run)
    thread.start()
    try:
        value = served.registry.get_sample_value
        wait_for(lambda: value(names.SCENARIOS.name, {"phase": "Starting"}) == 2)
        lost = api.only(kube.RAYJOBS)[0]["metadata"]
        api.delete(kube.RAYJOBS, lost["namespace"], lost["name"], lost["uid"])
        wait_for(lambda: value(names.ATTEMPTS_ENDED.name, {"reason": "RayJobVanished"}))
        yield f"127.0.0.1:{server.server_port}"
    finally:
        served.stop()
        thread.join()
        server.shutdown()
        server.server_close()


def _no_events(verb: str, resource: str, committed: bool) -> None:
    if resource == kube.EVENTS:
        raise kube.ApiError(403, "no right", verb, resource, None)
