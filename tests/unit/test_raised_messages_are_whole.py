"""A raised message that says what was expected also says what was found, is short, and ends as it begins."""

import ast
import re
from collections.abc import Iterator

import pytest

from conftest import ROOT

MOST_CHARACTERS = 300
SENTENCES = re.compile(r"[\w)}'`]\. [A-Z`]")


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts that are given to raised errors, with {} for each value in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
                elif isinstance(argument, ast.JoinedStr):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values
                    )


def problems(text: str) -> list[str]:
    halves = ("expected" in text) != ("found" in text)
    unfinished = SENTENCES.search(text) is not None and not text.endswith((".", "}"))
    return [
        name
        for name, holds in (
            ("says only one of expected and found", halves),
            (f"has more than {MOST_CHARACTERS} characters", len(text) > MOST_CHARACTERS),
            ("has several sentences and no full stop at its end", unfinished),
        )
        if holds
    ]


def test_every_raised_message_is_whole() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {text}": wrong
        for path in sorted((ROOT / "services").rglob("*.py"))
        for text in texts(ast.parse(path.read_text()))
        if " " in text and (wrong := problems(text))  # a code such as "not-found" is no message
    }
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "f: expected a folder.",
        "f: found a file",
        "Make room. Then try again",
        "expected " + "much " * 60 + ", found none",
    ],
)
def test_a_message_that_is_not_whole_is_seen(text: str) -> None:
    assert problems(text)
