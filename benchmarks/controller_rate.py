"""How fast the controller makes RayJobs of scenarios, and what it costs while nothing happens, on a real API server.

    python benchmarks/controller_rate.py [--scenarios 300] [--rounds 5] [--finished 1000]

The cluster is that of KUBECONFIG, with the definitions of Scenario and RayJob; KubeRay's operator should not run
(`kubectl scale deployment/kuberay-operator --replicas=0`), since it would work on the RayJobs at the same time. The hub
is a double in this process. The controller's rate is compared with the API server's own, for the very same calls with
nothing decided in between. Rounds alternate between the two, since a shared machine changes its speed.
"""

import argparse
import secrets
import statistics
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
from stepmark.controller.facts import AwaitedRun, HubView
from stepmark.controller.meters import Meters
from stepmark.controller.settings import Settings
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Worker
from stepmark.results.wire import AttemptEnd

THREADS: int = Settings.model_fields["threads"].default
PROFILES = "default: {image: 'runner:1', cpuPerWorker: 1}\n"
IDLE_SECONDS = 60.0
Write = tuple[str, tuple[Any, ...]]


class NoHub:
    """A hub that accepts every call at once."""

    def register(self, scenario: dict[str, Any], number: int, token: str) -> None:
        return None

    def view(self, run_id: str, number: int) -> HubView | None:
        return HubView()

    def end(self, run_id: str, number: int, end: AttemptEnd) -> None:
        return None

    def awaited(self, namespace: str | None) -> list[AwaitedRun]:
        return []


class Recorder:
    """An API that passes calls on and keeps those that write, so that they can be made again without a controller."""

    def __init__(self, api: kube.Kube) -> None:
        self._api = api
        self.writes: list[Write] = []

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
    """Make all the calls; return things per second, where all calls together make `count` of them."""
    started = time.perf_counter()
    list(pool.map(lambda call: call(), calls))
    return count / (time.perf_counter() - started)


def cpu_seconds() -> float:
    return float(sum(psutil.Process().cpu_times()[:2]))


def namespace(api: kube.Kube, prefix: str) -> str:
    name = f"{prefix}-{secrets.token_hex(3)}"
    api.create("v1/namespaces", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def controller(api: Any, folder: Path, place: str, pool: ThreadPoolExecutor) -> Ticker:
    (folder / "profiles.yaml").write_text(PROFILES)
    settings = Settings(
        namespaces=(place,),
        profiles_file=folder / "profiles.yaml",
        hub_url="http://hub:8080",
        hub_token_file=folder / "token",
        max_runs_per_namespace=10_000,
    )
    meters = Meters(CollectorRegistry())
    return Ticker(api, NoHub(), settings, Worker(api, NoHub(), meters), meters, pool)


def measure_rate(api: kube.Kube, folder: Path, count: int, rounds: int, pool: ThreadPoolExecutor) -> None:
    rates, alone = [], []
    for _ in range(rounds):
        rate, writes = _rate(api, folder, count, pool)
        rates.append(rate)
        alone.append(_alone(api, writes, count, pool))
    _print_rates("controller, created to RayJob", rates)
    _print_rates("the API server alone, the same writes", alone)
    for kind in ("RayJob", "ConfigMap"):
        place = namespace(api, "only")
        chosen = [one for one in writes if one[0] == "create" and one[1][2]["kind"] == kind]
        calls = [_call(api, place, name, arguments) for name, arguments in chosen]
        print(f"  of these only the {kind}s: {timed(count, calls, pool):.0f} a second")


def _print_rates(what: str, rates: list[float]) -> None:
    each = ", ".join(f"{rate:.0f}" for rate in rates)
    print(f"{what}: {statistics.median(rates):.0f} scenarios a second (median of {each})")


def _rate(api: kube.Kube, folder: Path, count: int, pool: ThreadPoolExecutor) -> tuple[float, list[Write]]:
    """Return the scenarios per second, and what was written for them."""
    place, recorder = _filled(api, "rate", count, pool), Recorder(api)
    ticker = controller(recorder, folder, place, pool)
    cpu, started = cpu_seconds(), time.perf_counter()
    ticker.tick()
    seconds = time.perf_counter() - started
    cpu = cpu_seconds() - cpu
    made = sum(1 for _ in api.every(kube.RAYJOBS, place))
    assert made == count, f"expected {count} RayJobs, found {made}"
    writes, share = len(recorder.writes) / count, 100 * cpu / seconds
    print(f"{count / seconds:.0f} scenarios a second, {writes:.0f} writes for each", flush=True)
    print(f"  {1000 * cpu / count:.1f} ms of CPU in the controller for each, {share:.0f} % of a core", flush=True)
    return count / seconds, recorder.writes


def _alone(api: kube.Kube, writes: list[Write], count: int, pool: ThreadPoolExecutor) -> float:
    """Make the same writes in a namespace of their own; return the scenarios per second of the API server alone."""
    place = _filled(api, "plain", count, pool)
    return timed(count, [_call(api, place, name, arguments) for name, arguments in writes], pool)


def _filled(api: kube.Kube, prefix: str, count: int, pool: ThreadPoolExecutor) -> str:
    place = namespace(api, prefix)
    list(pool.map(lambda n: api.create(kube.SCENARIOS, place, scenario(f"s-{n}")), range(count)))
    return place


def _call(api: kube.Kube, place: str, name: str, arguments: tuple[Any, ...]) -> Callable[[], Any]:
    resource, _, third, *more = arguments
    if name == "patch":
        change = {"status": more[0]["status"]}
        return lambda: api.patch(resource, place, third, change, status=True)
    # Owners do not exist here, so they are left out: otherwise the garbage collector would be at work, too.
    metadata = {key: value for key, value in third["metadata"].items() if key != "ownerReferences"}
    manifest = {**third, "metadata": {**metadata, "namespace": place}}
    if "involvedObject" in manifest:
        manifest["involvedObject"] = {**manifest["involvedObject"], "namespace": place}
    return lambda: api.create(resource, place, manifest)


def measure_idle(api: kube.Kube, folder: Path, count: int, pool: ThreadPoolExecutor) -> None:
    place = namespace(api, "idle")
    status = _finished_status(api, place, folder, pool)

    def finish(n: int) -> None:
        api.create(kube.SCENARIOS, place, scenario(f"s-{n}"))
        api.patch(kube.SCENARIOS, place, f"s-{n}", {"status": status}, status=True)

    list(pool.map(finish, range(count)))
    ticker = controller(api, folder, place, pool)
    ticker.tick()
    cpu, started, ticks = cpu_seconds(), time.perf_counter(), 0
    while time.perf_counter() - started < IDLE_SECONDS:
        ticker.tick()
        ticks += 1
        time.sleep(max(0.0, started + ticks * ticker.settings.tick_seconds - time.perf_counter()))
    share = (cpu_seconds() - cpu) / (time.perf_counter() - started)
    print(f"idle with {count} finished scenarios, a look every 5 s: {100 * share:.1f} % of a core")


def _finished_status(api: kube.Kube, place: str, folder: Path, pool: ThreadPoolExecutor) -> dict[str, Any]:
    """Return the status of a run that went well, as long as such a status is."""
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--finished", type=int, default=1000)
    options = parser.parse_args()
    api = kube.Kube.connect(THREADS)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
        measure_rate(api, Path(folder), options.scenarios, options.rounds, pool)
        measure_idle(api, Path(folder), options.finished, pool)
    print("the namespaces rate-, plain-, only- and idle- can be deleted", file=sys.stderr)


if __name__ == "__main__":
    main()
