"""`stepmark controller`: the service that runs scenarios on Kubernetes."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="The service that runs scenarios on a Kubernetes cluster, with KubeRay.")


@app.callback()
def _controller() -> None:
    return None


def _option(name: str, help: str, **more: Any) -> Any:
    variable = name.removeprefix("--").replace("-", "_").upper()
    return typer.Option(name, envvar=f"STEPMARK_CONTROLLER_{variable}", help=help, **more)


@app.command()
def run(
    profiles_file: Annotated[Path, _option("--profiles-file", "The profiles, YAML.")],
    hub_url: Annotated[str, _option("--hub-url", "The hub, as the controller and the runs reach it.")],
    hub_token_file: Annotated[Path, _option("--hub-token-file", "File with a hub token of the right `register`.")],
    namespaces: Annotated[
        str, _option("--namespaces", "Namespaces to look after, with commas between them. Default: all of them.")
    ] = "",
    hub_public_url: Annotated[
        str | None, _option("--hub-public-url", "The hub's pages, as people reach them. Default: not said.")
    ] = None,
    hub_peer: Annotated[
        str | None,
        _option(
            "--hub-peer",
            'The hub\'s pods, JSON: {"namespaceLabels": {...}, "podLabels": {...}, "port": 8080}. '
            "Default: runs may reach the hub's port anywhere.",
        ),
    ] = None,
    operator_peer: Annotated[
        str | None, _option("--operator-peer", "KubeRay's operator, JSON as above. Default: pods labelled as it is.")
    ] = None,
    prometheus_peer: Annotated[
        str | None, _option("--prometheus-peer", "Prometheus, JSON as above. Default: it may not scrape the runs.")
    ] = None,
    tick_seconds: Annotated[float, _option("--tick-seconds", "Time between two looks at everything.", min=0.1)] = 5.0,
    threads: Annotated[int, _option("--threads", "Scenarios worked on at the same time.", min=1, max=64)] = 8,
    listen: Annotated[str, _option("--listen", "Address of both ports.")] = "0.0.0.0",  # noqa: S104
    health_port: Annotated[int, _option("--health-port", "Port of /healthz.")] = 8081,
    metrics_port: Annotated[int, _option("--metrics-port", "Port of /metrics.")] = 9090,
    stale_seconds: Annotated[
        float, _option("--stale-seconds", "/healthz fails where the last completed tick is older.", min=1)
    ] = 60.0,
    lease_namespace: Annotated[
        str | None, _option("--lease-namespace", "Namespace of the Lease of the active controller. Default: no Lease.")
    ] = None,
    lease_name: Annotated[str, _option("--lease-name", "Name of the Lease.")] = "stepmark-controller",
    lease_seconds: Annotated[
        int, _option("--lease-seconds", "How long a Lease that is not renewed holds.", min=3, max=300)
    ] = 15,
) -> None:
    """Look after scenarios until SIGTERM: make a RayJob of each, and say in its status what becomes of it."""
    from stepmark.cli import controller_verb

    given = {
        "profiles_file": profiles_file,
        "hub_url": hub_url,
        "hub_token_file": hub_token_file,
        "namespaces": namespaces,
        "hub_public_url": hub_public_url,
        "hub_peer": hub_peer,
        "operator_peer": operator_peer,
        "prometheus_peer": prometheus_peer,
        "tick_seconds": tick_seconds,
        "threads": threads,
        "listen": listen,
        "health_port": health_port,
        "metrics_port": metrics_port,
        "stale_seconds": stale_seconds,
        "lease_namespace": lease_namespace,
        "lease_name": lease_name,
        "lease_seconds": lease_seconds,
    }
    controller_verb.run(given)
