"""`stepmark`: measure which framework, strategy and settings train a model fastest.

Exit codes: 0: all was measured; 1: something that was to be measured failed, the run ended early, or a cell became
slower; 2: the scenario is refused; 3: this environment cannot do it; 130 and 143: Ctrl-C and SIGTERM.
"""

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.exceptions import TyperException

from stepmark import __version__
from stepmark.cli import cluster_main, controller_main, hub_main
from stepmark.cli.options import DrainSeconds, HubAttempt, HubFrom, HubTo, TokenFile, hub_choices
from stepmark.errors import StepmarkError, Stopped, printable

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)

File = Annotated[Path, typer.Argument(help="A scenario file, such as scenarios/quickstart.yaml.", show_default=False)]
Folder = Annotated[
    Path,
    typer.Argument(help="The folder of a run, as given to `run --out`; with --hub, a run's id.", show_default=False),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price-per-worker-hour", min=0, help="What one worker costs per hour, in any currency: adds cost per sample."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


class Launcher(StrEnum):
    """The ways to start a run's processes."""

    ray = "ray"
    bare = "bare"


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


@app.command()
def validate(file: File, as_json: AsJson = False) -> None:
    """Check a scenario file; run nothing.

    Every refusal names the path, what was expected, what was found, and what to change. Exit code 2 if there is one.
    """
    from stepmark.cli import verbs

    verbs.validate(file, as_json)


@app.command()
def plan(
    file: File,
    launcher: Annotated[Launcher, typer.Option(help="Only the time estimate depends on it.")] = Launcher.ray,
    as_json: AsJson = False,
) -> None:
    """Print cells, launches, their order, and an estimate of the time; run nothing."""
    from stepmark.cli import verbs

    verbs.plan(file, launcher.value, as_json)


@app.command()
def run(
    file: File,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.db, summary.json, report.md, report.html. Default: out/NAME."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue the run in --out: finished launches are kept.")] = False,
    launcher: Annotated[
        Launcher, typer.Option(help="ray: one Ray Train run; bare: the same, without Ray.")
    ] = Launcher.ray,
    fresh_process: Annotated[
        bool, typer.Option(help="A new process with its own import for every launch, instead of a fork of a zygote.")
    ] = False,
    hub: HubTo = None,
    hub_token_file: TokenFile = None,
    hub_attempt: HubAttempt = None,
    hub_drain_seconds: DrainSeconds = 60.0,
    live_listen: Annotated[
        str | None,
        typer.Option(
            envvar="STEPMARK_LIVE_LISTEN", help="HOST:PORT on which Prometheus can follow the run while it lasts."
        ),
    ] = None,
) -> None:
    """Measure a scenario and print the verdicts.

    Launches run in randomised blocks. Ctrl-C keeps what is finished, and `--resume` continues from there.
    """
    from stepmark.cli import run_verb

    choices = run_verb.Choices(
        resume,
        launcher.value,
        fresh_process,
        hub=hub_choices(hub, hub_token_file, hub_attempt, hub_drain_seconds),
        live_listen=live_listen,
    )
    run_verb.run(file, out, choices)


@app.command()
def upload(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, as given to `run --out`.", show_default=False)],
    hub: HubTo = None,
    hub_token_file: TokenFile = None,
    hub_attempt: HubAttempt = None,
    hub_drain_seconds: DrainSeconds = 60.0,
) -> None:
    """Send a run's results to a hub; what the hub has already is not sent again.

    Exit code 3 if not everything could be sent.
    """
    from stepmark.cli import upload_verb

    upload_verb.upload(folder, hub_choices(hub, hub_token_file, hub_attempt, hub_drain_seconds))


@app.command()
def parity(
    file: File,
    out: Annotated[
        Path | None, typer.Option(help="Folder to keep the certificates in, for `run --resume`. Default: not kept.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Keep the certificates that --out has already.")] = False,
    launcher: Annotated[Launcher, typer.Option(help="As of `run`.")] = Launcher.bare,
    as_json: AsJson = False,
) -> None:
    """Prove that all candidates train the same model; time nothing.

    Each cell runs a few steps from the same weights and samples as the reference; logits, loss, gradients and weights
    are compared. Exit code 1 if a cell is not comparable.
    """
    from stepmark.cli import run_verb

    choices = run_verb.Choices(resume, launcher.value, fresh_process=False, parity_only=True)
    run_verb.check_parity(file, out, choices, as_json)


@app.command()
def results(
    folder: Folder,
    price: Price = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Print the result of a run again, derived from its raw records."""
    from stepmark.cli import verbs

    verbs.results(folder, price, as_json, hub_choices(hub, hub_token_file))


@app.command()
def report(folder: Folder, price: Price = None, hub: HubFrom = None, hub_token_file: TokenFile = None) -> None:
    """Write summary.json, report.md and report.html of a run again, derived from its raw records.

    Reports of a run in a hub are written to out/RUN_ID.
    """
    from stepmark.cli import verbs

    verbs.report(folder, price, hub_choices(hub, hub_token_file))


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="The folder of the run to compare with.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The folder of the run that must not be slower.", show_default=False)],
    minimum_effect: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Smallest slowdown that matters; 0.05 is 5 %. Default: the new scenario's."),
    ] = None,
    allow_unlike_machines: Annotated[
        bool, typer.Option("--allow-unlike-machines", help="Compare runs of different machines all the same.")
    ] = False,
    allow_unlike_settings: Annotated[
        bool, typer.Option("--allow-unlike-settings", help="Compare runs of different work all the same.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Cells that the new scenario does not ask for do not fail.")
    ] = False,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            help="An earlier run of the same thing, or a folder of such, to tell luck between campaigns from slowdowns:"
            " repeat it, three runs or more. Default with --hub: the newest ten there.",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML for CI to this file.")] = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Compare two runs of one scenario and fail if a cell has become slower: a gate for CI.

    Exit code 1 if a slowdown beyond the minimum effect is established for a cell, or a cell that was measured no longer
    runs; 2 if machines or settings differ; 0 otherwise. Package versions may differ, since they are what is tested.
    """
    from stepmark.analysis.gate import Choices
    from stepmark.cli import compare_verb

    choices = Choices(minimum_effect, allow_unlike_machines, allow_unlike_settings, allow_missing)
    asked = compare_verb.Asked(old, new, tuple(history or ()))
    compare_verb.compare(asked, choices, as_json, junit, hub_choices(hub, hub_token_file))


@app.command()
def forecast(
    folder: Folder,
    workers: Annotated[str, typer.Option(help="Worker counts to forecast, such as 8,16,64,256.", show_default=False)],
    workers_per_node: Annotated[
        int | None,
        typer.Option(min=1, help="Workers that share a node, so that no network is between them. Default: not known."),
    ] = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Predict step times at worker counts that were not measured, with bands and warnings.

    The bands show how far such forecasts were off on published curves. Measuring on two nodes improves a forecast most.
    """
    from stepmark.cli import forecast_verb

    forecast_verb.forecast(folder, workers, workers_per_node, as_json, hub_choices(hub, hub_token_file))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print what this machine can run, which engines are installed, and what is missing, with remedies.

    Exit code 3 if no engine can run here.
    """
    from stepmark.cli import doctor as doctor_verb

    doctor_verb.doctor(as_json)


app.command()(cluster_main.submit)
app.command()(cluster_main.cancel)
app.add_typer(hub_main.app, name="hub")
app.add_typer(controller_main.app, name="controller")


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
