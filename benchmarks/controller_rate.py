"""How fast the controller makes RayJobs of scenarios, and what it costs when nothing happens. On a real API server.

    python benchmarks/controller_rate.py [--scenarios 300] [--finished 1000]

The cluster is that of KUBECONFIG, with the definitions of Scenario and RayJob; KubeRay's operator should not run
(`kubectl scale deployment/kuberay-operator --replicas=0`), since it would work on the RayJobs at the same time. The hub
is a double in this process. Beside the controller's rate stands the API server's own: the very same calls, with nothing
decided in between.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry

from stepmark.controller import kube
from stepmark.controller.facts import HubView
from stepmark.controller.meters import Meters
from stepmark.controller.settings import Settings
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Worker

THREADS = 8
PROFILES = "default: {image: 'runner:1', cpuPerWorker: 1}\n"
IDLE_SECONDS = 60.0


class NoHub:
    """Takes everything, at once."""

    def register(self, scenario: dict[str, Any], number: int, token: str) -> None:
        return None

    def view(self, run_id: str, number: int) -> HubView | None:
        return HubView()

    def cancel(self, execution_id: str, write_token: str) -> None:
        return None


class Recorder:
    """Passes calls on and keeps those that write, so that they can be made again without a controller."""

    def __init__(self, api: kube.Kube) -> None:
        self._api = api
        self.writes: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._api, name)
        if name not in ("create", "patch"):
            return call

        def recorded(*arguments: Any, **more: Any) -> Any:
            self.writes.append((name, (*arguments, *more.values())))
            return call(*arguments, **more)

        return recorded


def scenario(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "stepmark.dev/v1alpha1",
        "kind": "Scenario",
        "metadata": {"name": name},
        "spec": {
            "profile": "default",
            "workload": {"model": "scripted", "params": {"stepSeconds": 0.01}},
            "candidates": [{"name": "plain", "engine": "sleeper", "strategy": "parallel"}],
            "scale": {"workers": [1, 2, 4], "batchPerWorker": 32},
            "parity": "skipped",
        },
    }


def timed(count: int, calls: Iterable[Callable[[], Any]], pool: ThreadPoolExecutor) -> float:
    """Things a second, where all the calls together make `count` of them."""
    started = time.perf_counter()
    list(pool.map(lambda call: call(), calls))
    return count / (time.perf_counter() - started)


def namespace(api: kube.Kube, name: str) -> str:
    api.create("v1/namespaces", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def controller(api: Any, folder: Path, place: str, pool: ThreadPoolExecutor) -> Ticker:
    (folder / "profiles.yaml").write_text(PROFILES)
    settings = Settings(
        namespaces=(place,),
        profiles_file=folder / "profiles.yaml",
        hub_url="http://hub:8080",
        hub_token_file=folder / "token",
    )
    meters = Meters(CollectorRegistry())
    return Ticker(api, NoHub(), settings, Worker(api, NoHub(), meters), meters, pool)


def measure_rate(api: kube.Kube, folder: Path, count: int, pool: ThreadPoolExecutor) -> None:
    place = namespace(api, f"rate-{secrets.token_hex(3)}")
    creates = [lambda n=n: api.create(kube.SCENARIOS, place, scenario(f"s-{n}")) for n in range(count)]
    print(f"creating {count} scenarios: {timed(count, creates, pool):.0f} a second")
    recorder = Recorder(api)
    process = psutil.Process()
    cpu, started = sum(process.cpu_times()[:2]), time.perf_counter()
    controller(recorder, folder, place, pool).tick()
    seconds = time.perf_counter() - started
    cpu = sum(process.cpu_times()[:2]) - cpu
    made = sum(1 for _ in api.every(kube.RAYJOBS, place))
    assert made == count, f"expected {count} RayJobs, found {made}"
    writes = len(recorder.writes) / count
    print(f"controller, created to RayJob: {count / seconds:.0f} scenarios a second, {writes:.0f} writes for each")
    print(f"  {1000 * cpu / count:.1f} ms of CPU in the controller for each, {100 * cpu / seconds:.0f} % of a core")
    again(api, recorder, count, pool)


def again(api: kube.Kube, recorder: Recorder, count: int, pool: ThreadPoolExecutor) -> None:
    """The same writes into a namespace of their own: what the API server alone takes for them."""
    place = namespace(api, f"plain-{secrets.token_hex(3)}")
    for n in range(count):
        api.create(kube.SCENARIOS, place, scenario(f"s-{n}"))
    calls = [_call(api, place, name, arguments) for name, arguments in recorder.writes]
    print(f"the API server alone, the same writes: {timed(count, calls, pool):.0f} scenarios a second")
    for kind in ("RayJob", "ConfigMap"):
        chosen = [a for name, a in recorder.writes if name == "create" and a[2]["kind"] == kind]
        other = namespace(api, f"only-{secrets.token_hex(3)}")
        one = [_call(api, other, "create", arguments) for arguments in chosen]
        print(f"  of these only the {kind}s: {timed(count, one, pool):.0f} a second")


def _call(api: kube.Kube, place: str, name: str, arguments: tuple[Any, ...]) -> Callable[[], Any]:
    resource, _, third, *more = arguments
    if name == "patch":
        change = {"status": more[0]["status"]}
        return lambda: api.patch(resource, place, third, change, status=True)
    # Without owners, which are not there: the garbage collector would be at work, too.
    metadata = {key: value for key, value in third["metadata"].items() if key != "ownerReferences"}
    manifest = {**third, "metadata": {**metadata, "namespace": place}}
    if "involvedObject" in manifest:
        manifest["involvedObject"] = {**manifest["involvedObject"], "namespace": place}
    return lambda: api.create(resource, place, manifest)


def measure_idle(api: kube.Kube, folder: Path, count: int, pool: ThreadPoolExecutor) -> None:
    place = namespace(api, f"idle-{secrets.token_hex(3)}")
    status = _finished_status(api, place, folder, pool)

    def finish(n: int) -> None:
        api.create(kube.SCENARIOS, place, scenario(f"s-{n}"))
        api.patch(kube.SCENARIOS, place, f"s-{n}", {"status": status}, status=True)

    list(pool.map(finish, range(count)))
    ticker, process = controller(api, folder, place, pool), psutil.Process()
    ticker.tick()
    cpu, started, ticks = sum(process.cpu_times()[:2]), time.perf_counter(), 0
    while time.perf_counter() - started < IDLE_SECONDS:
        ticker.tick()
        ticks += 1
        time.sleep(max(0.0, started + ticks * ticker.settings.tick_seconds - time.perf_counter()))
    share = (sum(process.cpu_times()[:2]) - cpu) / (time.perf_counter() - started)
    print(f"idle with {count} finished scenarios, a look every 5 s: {100 * share:.1f} % of a core")


def _finished_status(api: kube.Kube, place: str, folder: Path, pool: ThreadPoolExecutor) -> dict[str, Any]:
    """That of a run that went well: as long as they are."""
    api.create(kube.SCENARIOS, place, scenario("model"))
    ticker = controller(api, folder, place, pool)
    ticker.tick()
    status: dict[str, Any] = api.get(kube.SCENARIOS, place, "model")["status"]
    api.patch(kube.SCENARIOS, place, "model", {"spec": {"cancel": True}})
    for _ in range(3):
        ticker.tick()
    return status | {
        "phase": "Complete",
        "attempts": [{**status["attempts"][0], "state": "Ended", "reason": "Complete", "validity": "valid"}],
        "result": {"runId": "x" * 36, "verdict": "v" * 100, "headlines": ["h" * 150] * 5},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenarios", type=int, default=300)
    parser.add_argument("--finished", type=int, default=1000)
    options = parser.parse_args()
    api = kube.Kube.connect(THREADS)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
        measure_rate(api, Path(folder), options.scenarios, pool)
        measure_idle(api, Path(folder), options.finished, pool)
    print("the namespaces rate-, plain-, only- and idle- can be deleted", file=sys.stderr)


if __name__ == "__main__":
    main()
