"""How many step samples per second one hub takes, through HTTP, onto disk. Wanted: at least 200,000 on two cores.

python benchmarks/hub_ingest.py [SECONDS]

The records are those of a real run: launches of two ranks and 4,000 steps. Four clients send them again and again as
new runs; every launch is parsed, checked, unpacked, hashed and committed before it is acknowledged, and every run that
has ended is derived meanwhile. Clients share the cores with the hub.
"""

import os
import sys
import threading
import time

import psutil
from _hub import Hub, Measured, measure, scratch, serving

CLIENTS = 4


def main(seconds: float = 20) -> None:
    with scratch() as folder:
        measured = measure(folder, workers=(2,), steps=4000, launches=3)
        size = sum(len(body) for _, body in measured.bodies) / len(measured.bodies)
        print(f"a run: {len(measured.bodies)} launches of {size / 1024:.0f} KiB, {measured.samples} step samples")
        with serving(folder) as hub:
            _report(hub, measured, seconds)


def _report(hub: Hub, measured: Measured, seconds: float) -> None:
    server, client = psutil.Process(hub.process.pid), psutil.Process()
    cpu = _cpu_seconds(server), _cpu_seconds(client)
    began = time.perf_counter()
    runs = _send_for(hub, measured, seconds)
    took = time.perf_counter() - began
    server_cpu, client_cpu = _cpu_seconds(server) - cpu[0], _cpu_seconds(client) - cpu[1]
    samples, launches = len(runs) * measured.samples, len(runs) * len(measured.bodies)
    print(f"{samples / took:,.0f} step samples/s, {launches / took:.0f} launches/s over {took:.1f} s")
    shares = f"hub {server_cpu / took:.2f}, clients {client_cpu / took:.2f}"
    print(f"of {os.cpu_count()} cores: {shares}; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{samples / server_cpu:,.0f} step samples for each second of the hub's CPU time, derivation included")
    print(f"figures of the last run stood {_until_derived(hub, runs[-1]):.1f} s after its end")


def _send_for(hub: Hub, measured: Measured, seconds: float) -> list[str]:
    runs: list[str] = []
    until = time.perf_counter() + seconds

    def send() -> None:
        with hub.client() as client:
            while time.perf_counter() < until:
                runs.append(hub.send(client, measured))

    threads = [threading.Thread(target=send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return runs


def _until_derived(hub: Hub, run_id: str) -> float:
    began = time.perf_counter()
    with hub.client() as client:
        while not client.get(f"/api/v1/runs/{run_id}").json()["settled"]:
            time.sleep(0.05)
    return time.perf_counter() - began


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
