"""`stepmark`: measure which framework, strategy and settings train a model fastest.

Exit codes: 0: all was measured; 1: something that was to be measured failed, the run ended early, or a cell became
slower; 2: the scenario is refused; 3: this environment cannot do it; 4: a cluster is broken; 130 and 143: Ctrl-C and
SIGTERM.
"""

import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from typer.exceptions import TyperException

from stepmark import __version__
from stepmark.cli.commands import (
    cancel,
    check_cluster,
    compare,
    doctor,
    first_step,
    forecast,
    largest_batch,
    parity,
    plan,
    questions,
    report,
    results,
    run,
    submit,
    time_to_accuracy,
    upload,
    validate,
)
from stepmark.cli.deferred import Deferred
from stepmark.errors import StepmarkError, Stopped, printable

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None


for command in (
    validate.validate,
    plan.plan,
    run.run,
    upload.upload,
    parity.parity,
    largest_batch.largest_batch,
    first_step.first_step,
    time_to_accuracy.time_to_accuracy,
    results.results,
    report.report,
    compare.compare,
    forecast.forecast,
    doctor.doctor,
    check_cluster.check_cluster,
    submit.submit,
    cancel.cancel,
):
    app.command()(command)


app.add_typer(questions.app, name="questions")


@app.command(cls=Deferred)
def hub() -> typer.Typer:
    """Serve results that outlive their runs, manage tokens, and maintain the database."""
    from stepmark.cli.commands import hub

    return hub.app


@app.command(cls=Deferred)
def controller() -> typer.Typer:
    """The service that runs scenarios on a Kubernetes cluster, with KubeRay."""
    from stepmark.cli.commands import controller

    return controller.app


@app.command(cls=Deferred)
def new() -> typer.Typer:
    """Write the beginnings of something of your own."""
    from stepmark.cli.commands import new

    return new.app


def _stop(number: int, _: object) -> None:
    raise Stopped(number)


def run_app() -> int:
    """Run the program and return its exit code. Errors that a person can fix are printed without a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        code = app(standalone_mode=False)
    except TyperException as misuse:
        _say(f"{misuse.format_message()} See `stepmark --help`.")
        return misuse.exit_code
    except StepmarkError as error:
        _say(str(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say("Stopped by Ctrl-C.")
        return 128 + signal.SIGINT
    except Stopped as stopped:
        _say(f"Stopped by signal {stopped.args[0]}.")
        return 128 + int(stopped.args[0])
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return code if isinstance(code, int) else 0


def _say(message: str) -> None:
    lines = "\n".join(map(printable, message.split("\n")))  # Part of it may come from other processes.
    Console(stderr=True).print(lines, markup=False, highlight=False, soft_wrap=True, style="red")


def main() -> None:
    """Run the program and exit with its exit code."""
    sys.exit(run_app())
