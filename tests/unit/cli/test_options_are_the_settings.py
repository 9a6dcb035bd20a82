"""The options of the two services are the fields of their settings, with the docstrings and defaults of these."""

import re
import subprocess
import sys

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from stepmark.cli.main import app
from stepmark.controller.settings import Settings as ControllerSettings
from stepmark.hub.settings import Settings as HubSettings

HUB = """admin-token-file anonymous-read attempt-bytes-most attempt-executions-most body-bytes-most body-seconds-most
    connections-per-peer-most database derive-bytes-most derive-seconds-most heartbeat-seconds listen log-format
    log-level metrics-listen migrate namespace-bytes-most public-url register-token-file register-token-namespace
    token-review-audience token-review-user"""
CONTROLLER = """health-port hub-peer hub-public-url hub-token-file hub-url lease-name lease-namespace lease-seconds
    listen log-format log-level max-runs-per-namespace metrics-port namespaces operator-peer profiles-file
    prometheus-peer stale-seconds stuck-seconds threads tick-seconds ttl-seconds-after-finished"""
SERVICES: list[tuple[list[str], str, str, type[BaseModel]]] = [
    (["hub", "serve"], HUB, "STEPMARK_HUB_", HubSettings),
    (["controller", "run"], CONTROLLER, "STEPMARK_CONTROLLER_", ControllerSettings),
]


def help_of(verb: list[str]) -> str:
    """The help without its spaces, since it is wrapped."""
    done = CliRunner().invoke(app, [*verb, "--help"])
    assert done.exit_code == 0, done.output
    return "".join(done.output.split())


@pytest.mark.parametrize(("verb", "names", "variables", "_"), SERVICES)
def test_the_names_of_options_and_variables_are_those_that_charts_use(
    verb: list[str], names: str, variables: str, _: object
) -> None:
    shown, expected = help_of(verb), names.split()
    assert sorted({*re.findall(r"--([a-z-]+)(?=<|[A-Z])", shown)} - {"help"}) == expected
    for name in expected:
        assert f"[envvar:{variables}{name.replace('-', '_').upper()}" in shown


@pytest.mark.parametrize(("verb", "names", "variables", "kind"), SERVICES)
def test_the_help_says_every_docstring_and_every_default(
    verb: list[str], names: str, variables: str, kind: type[BaseModel]
) -> None:
    shown = help_of(verb)
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert "".join(field.description.split()) in shown, name
        if isinstance(field.default, int | float | str) and not isinstance(field.default, bool):
            assert re.search(rf"Default:({_written(name, field.default)})\.", shown), name


def _written(name: str, default: float | str) -> str:
    if "bytes" in name:
        return f"{int(default) >> 20}.0MiB|{int(default) >> 30}.0GiB"
    return re.escape(f"{default:g}" if isinstance(default, float) else str(default))


def test_the_list_of_verbs_needs_no_pydantic() -> None:
    code = "import sys, stepmark.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"pydantic", "numpy", "sqlalchemy"} & set(done.stdout.split())
