"""A hub and a Prometheus on this machine, a scenario run into both, and the addresses to open. Ctrl-C ends all of it.

`make hub-demo` calls it; `python scripts/hub_demo.py scenarios/lstm-precision.yaml` takes another scenario. All
services listen on the loopback only and keep their files in out/hub-demo, results of earlier demos included.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "out" / "hub-demo"
HUB, METRICS, LIVE, PROMETHEUS = "127.0.0.1:8420", "127.0.0.1:8421", "127.0.0.1:8422", "127.0.0.1:8490"
DATABASE = f"sqlite:///{FOLDER / 'hub.db'}"
STEPMARK = [sys.executable, "-m", "stepmark"]
START_SECONDS = 60

PROMETHEUS_CONFIG = f"""\
global: {{scrape_interval: 5s, evaluation_interval: 5s}}
rule_files: [{ROOT / "charts/stepmark/rules/stepmark.rules.yaml"}]
scrape_configs:
  - job_name: stepmark-hub
    static_configs: [{{targets: ["{METRICS}"]}}]
  - job_name: stepmark-live
    static_configs: [{{targets: ["{LIVE}"]}}]
"""


def main() -> int:
    scenario = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "scenarios/quickstart.yaml")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Without this the services would outlive a closed terminal.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    with ExitStack() as services:
        hub = ["hub", "serve", "--listen", HUB, "--metrics-listen", METRICS, "--database", DATABASE, "--anonymous-read"]
        start(services, "hub", [*STEPMARK, *hub], f"http://{HUB}/readyz")
        has_prometheus = start_prometheus(services)
        say_addresses(has_prometheus)
        code = run_scenario(scenario)
        print("\nThe run has ended; hub and Prometheus stay up. Ctrl-C ends them.", flush=True)
        say_addresses(has_prometheus)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return code


def start(services: ExitStack, name: str, command: list[str], ready_url: str) -> None:
    """Start a service that ends with the stack, and wait until it answers."""
    log = (FOLDER / f"{name}.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    services.callback(log.close)
    services.callback(process.wait)
    services.callback(process.terminate)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if answers(ready_url):
            return
        time.sleep(0.2)
    sys.exit(f"{name}: expected an answer from {ready_url}, found none. What it said is in {log.name}.")


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def start_prometheus(services: ExitStack) -> bool:
    program = shutil.which("prometheus")
    if program is None:
        print("No prometheus on the PATH: none in this demo. Debian and Ubuntu: apt-get install prometheus.")
        return False
    config = FOLDER / "prometheus.yml"
    config.write_text(PROMETHEUS_CONFIG)
    flags = [f"--config.file={config}", f"--storage.tsdb.path={FOLDER / 'prometheus'}"]
    start(
        services, "prometheus", [program, *flags, f"--web.listen-address={PROMETHEUS}"], f"http://{PROMETHEUS}/-/ready"
    )
    return True


def say_addresses(has_prometheus: bool) -> None:
    lines = [f"runs, reports, history   http://{HUB}/", f"series                   http://{METRICS}/metrics"]
    if has_prometheus:
        lines += [f"Prometheus, alerts       http://{PROMETHEUS}/alerts"]
    print("\n".join(lines), "\nGrafana boards to import: charts/stepmark/dashboards/*.json", flush=True)


def run_scenario(scenario: Path) -> int:
    """Run the scenario as a new run of the hub, so that the history of the demos grows; return the exit code."""
    create = ["hub", "token", "create", f"demo-{int(time.time())}", "--right", "register", "--database", DATABASE]
    token = subprocess.run([*STEPMARK, *create], check=True, capture_output=True, text=True).stdout.strip()
    out = FOLDER / f"run-{time.strftime('%Y%m%d-%H%M%S')}"
    flags = ["--out", str(out), "--hub", f"http://{HUB}", "--live-listen", LIVE]
    return subprocess.run(
        [*STEPMARK, "run", str(scenario), *flags], env=os.environ | {"STEPMARK_HUB_TOKEN": token}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
