"""Make all pages of a folder of answers from the summaries that are stored there."""

from pathlib import Path

from stepmark.questions import answer
from stepmark.questions.question import questions


def pages(folder: Path) -> dict[Path, str]:
    """Return the text of every page in `folder`, by its path: the index, and one page for each stored summary."""
    stored = {
        question.name: (question, answer.stored(question, file.read_text(encoding="utf-8")))
        for question in questions()
        if (file := folder / f"{question.name}.json").exists()
    }
    found = {folder / f"{name}.md": answer.page(*asked) for name, asked in stored.items()}
    return {folder / "README.md": answer.index({name: summary for name, (_, summary) in stored.items()}), **found}
