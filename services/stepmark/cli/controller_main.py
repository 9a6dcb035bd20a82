"""`stepmark controller`: the service that runs scenarios on Kubernetes."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="The service that runs scenarios on a Kubernetes cluster, with KubeRay.")


@app.callback()
def _controller() -> None:
    return None


def _option(name: str, help: str, **more: Any) -> Any:
    """Define an option without a default.

    `controller.settings` has the default, and a test compares it with what the help text says.
    """
    variable = name.removeprefix("--").replace("-", "_").upper()
    return typer.Option(name, envvar=f"STEPMARK_CONTROLLER_{variable}", help=help, show_default=False, **more)


@app.command()
def run(
    context: typer.Context,
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
    tick_seconds: Annotated[
        float | None, _option("--tick-seconds", "Time between two looks at everything. Default: 5.", min=0.1)
    ] = None,
    threads: Annotated[
        int | None, _option("--threads", "Scenarios worked on at the same time. Default: 32.", min=1, max=64)
    ] = None,
    max_runs_per_namespace: Annotated[
        int | None,
        _option("--max-runs-per-namespace", "Runs of a namespace at once; others are Queued. Default: 4.", min=1),
    ] = None,
    ttl_seconds_after_finished: Annotated[
        int | None,
        _option(
            "--ttl-seconds-after-finished",
            "How long after a scenario's end its RayJobs, ConfigMaps, Secrets and NetworkPolicies stay. Default: 3600.",
            min=0,
        ),
    ] = None,
    listen: Annotated[str | None, _option("--listen", "Address of both ports. Default: 0.0.0.0.")] = None,
    health_port: Annotated[int | None, _option("--health-port", "Port of /healthz and /readyz. Default: 8081.")] = None,
    metrics_port: Annotated[int | None, _option("--metrics-port", "Port of /metrics. Default: 9090.")] = None,
    stale_seconds: Annotated[
        float | None,
        _option("--stale-seconds", "/readyz fails where the last completed look is older. Default: 60.", min=1),
    ] = None,
    stuck_seconds: Annotated[
        float | None,
        _option("--stuck-seconds", "/healthz fails where nothing was done for so long. Default: 300.", min=60),
    ] = None,
    lease_namespace: Annotated[
        str | None, _option("--lease-namespace", "Namespace of the Lease of the active controller. Default: no Lease.")
    ] = None,
    lease_name: Annotated[
        str | None, _option("--lease-name", "Name of the Lease. Default: stepmark-controller.")
    ] = None,
    lease_seconds: Annotated[
        int | None,
        _option("--lease-seconds", "How long a Lease that is not renewed holds. Default: 15.", min=3, max=300),
    ] = None,
    log_format: Annotated[
        str | None, _option("--log-format", "Form of the lines on stderr: text or json. Default: text.")
    ] = None,
    log_level: Annotated[
        str | None, _option("--log-level", "What is logged: debug, info, warning or error. Default: info.")
    ] = None,
) -> None:
    """Watch scenarios until SIGTERM: create a RayJob for each, and report its progress in the scenario's status."""
    from stepmark.cli import controller_verb

    controller_verb.run(dict(context.params))
