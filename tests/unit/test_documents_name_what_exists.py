"""Every verb, option, make target, link and path that a document names exists."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer

from conftest import ROOT
from stepmark.cli.deferred import Deferred
from stepmark.cli.main import app
from stepmark.terms import DEFAULT_LAUNCHER

DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "k8s", ROOT / "charts" / "stepmark", ROOT / ".github")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
TOP_FOLDERS = {
    ".ci",
    ".github",
    "benchmarks",
    "charts",
    "docs",
    "examples",
    "k8s",
    "requirements",
    "scenarios",
    "scripts",
    "services",
    "tests",
}
HOMES = (ROOT, ROOT / "services", ROOT / "services" / "stepmark")
PLACEHOLDERS = re.compile(r"[A-Z]{3,}|[*<>{}$…]|\.\.\.")


def code_of(path: Path) -> list[str]:
    """Return the lines of fenced blocks and the texts between backticks, without comments."""
    text = path.read_text()
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in fenced for line in re.sub(r"\\\n", " ", block).splitlines()]
    return [re.split(r"\s#\s|\s#$", line)[0].strip() for line in (*lines, *spans)]


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([.a-z/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def command() -> typer.core.TyperGroup:
    found = typer.main.get_command(app)
    assert isinstance(found, typer.core.TyperGroup)
    return found


def unknown_of_command(words: list[str]) -> list[str]:
    """Return the verb or the options of `stepmark WORDS` that the command line does not have."""
    verb: object = command()
    options = {"--help"}
    rest = list(words)
    while rest and isinstance(verb, typer.core.TyperGroup):
        options |= {name for one in verb.params for name in one.opts}
        if rest[0].startswith("-") or PLACEHOLDERS.search(rest[0]):
            break
        if rest[0] not in verb.commands:
            return [f"verb {rest[0]}"]
        named = verb.commands[rest.pop(0)]
        verb = named.load() if isinstance(named, Deferred) else named
    options |= {name for one in getattr(verb, "params", ()) for name in (*one.opts, *one.secondary_opts)}
    return [
        word
        for word in rest
        if re.fullmatch(r"--[a-z][-a-z]*", word.split("=")[0]) and word.split("=")[0] not in options
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_a_document_names_exist(path: Path) -> None:
    wrong = []
    for line in code_of(path):
        for target in re.findall(r"(?:^|[;&|]\s*)make ([a-z][-a-z]*)\b", line):
            wrong += [] if target in targets() else [f"make {target}"]
        for call in re.findall(r"(?:^|[;&|(]\s*|\s)(?:\.venv/bin/)?stepmark ([^;&|)`]*)", line):
            try:
                words = shlex.split(call)
            except ValueError:
                continue
            if (
                words
                and re.fullmatch(r"[a-z][-a-z]*", words[0])
                and line.lstrip("$ (").startswith((".venv/bin/stepmark", "stepmark"))
            ):
                wrong += [f"stepmark {call}: {one}" for one in unknown_of_command(words)]
    assert not wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_that_a_document_names_exist(path: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text())]
    wrong = [link for link in links if link and ":" not in link and not (path.parent / link).exists()]
    for span in code_of(path):
        for word in span.split():
            word = word.strip("`'\",;:()").split(":")[0]
            if word.split("/")[0] in TOP_FOLDERS and "/" in word and not PLACEHOLDERS.search(word):
                wrong += [] if (ROOT / word).exists() else [word]
            elif re.fullmatch(r"[a-z_]+/[a-z_/]+\.py", word):
                wrong += [] if any((folder / word).exists() for folder in HOMES) else [word]
    assert not wrong


def test_the_page_on_own_models_installs_what_its_commands_start_with() -> None:
    text = (ROOT / "docs" / "own-model.md").read_text()
    extras = {extra for found in re.findall(r"pip install 'stepmark\[([a-z,]+)\]'", text) for extra in found.split(",")}
    assert DEFAULT_LAUNCHER in extras
