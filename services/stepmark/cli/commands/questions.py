"""`stepmark questions`: list what people ask about PyTorch and Keras, measure a choice of it, write the answers."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import AsJson, Launcher

ANSWERS, RUNS = Path("docs/answers"), Path("out/questions")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def questions(context: typer.Context, as_json: AsJson = False) -> None:
    """List what people ask about PyTorch and Keras, with what each answer costs here; measure a choice of it."""
    from stepmark.cli.verbs import questions as verb

    if context.invoked_subcommand is None:
        verb.show(as_json)


@app.command()
def run(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Numbers of questions. Default: all.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder in which each question's run has a folder of its own.")] = RUNS,
    budget: Annotated[
        float | None,
        typer.Option(
            min=1, help="Seconds for all; a question that is estimated to take more than is left is left out."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue what --out holds: questions that are measured already are left out.")
    ] = False,
    launcher: Annotated[
        Launcher, typer.Option(help="ray: one Ray Train run for each; bare: the same, without Ray.")
    ] = Launcher.ray,
) -> None:
    """Measure questions one after another, in the order given."""
    from stepmark.cli.verbs import questions as verb
    from stepmark.runs.measuring import Choices

    verb.run(numbers or [], out, budget, Choices(resume, launcher.value, fresh_process=False))


@app.command()
def answer(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs of questions.", show_default=False)],
    into: Annotated[
        Path, typer.Option(help="Folder for each question's page and stored result, and the index.")
    ] = ANSWERS,
) -> None:
    """Store the results of measured questions, and write the page of each from them."""
    from stepmark.cli.verbs import questions as verb

    verb.answer(folders, into)
