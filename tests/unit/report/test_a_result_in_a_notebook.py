"""A result in a notebook styles nothing beside it, shares no id with another one, and shows hostile text as text."""

import re
from html.parser import HTMLParser

import pytest

from stepmark.report import markdown, notebook
from unit.report.example_summary import example
from unit.report.test_hostile_text_stays_text import HOSTILE, hostile_everywhere


def rules(css: str) -> list[str]:
    """Return the selectors of the outermost rules; those within @media count as outermost."""
    found, depth, start = [], 0, 0
    open_media = 0
    for place, character in enumerate(css):
        if character == "{":
            selector = css[start:place].strip()
            if selector.startswith("@media") and depth == open_media:
                open_media += 1
            elif depth == open_media:
                found.append(selector)
            depth += 1
        elif character == "}":
            depth -= 1
            open_media = min(open_media, depth)
        if character in "{}" or (character == ";" and depth == open_media):
            start = place + 1
    assert depth == 0
    return found


class Parts(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]


def test_every_rule_of_its_style_is_below_its_own_class() -> None:
    style = re.search(r"<style>(.*?)</style>", notebook.render(example()), re.DOTALL)
    assert style is not None
    selectors = [one for rule in rules(style[1]) for one in rule.split(",")]
    assert len(selectors) > 5
    assert [one for one in selectors if ".stepmark-result" not in one] == []
    assert "@import" not in style[1]
    assert "url(" not in style[1]


def test_it_follows_the_colours_of_the_notebook_before_those_of_the_system() -> None:
    text = notebook.render(example())
    system = text.index("prefers-color-scheme: dark")
    for theme in ('[data-jp-theme-light="true"]', '[data-jp-theme-light="false"]', ".vscode-light", ".vscode-dark"):
        assert text.index(theme) > system


def test_two_results_on_one_page_share_no_id() -> None:
    first, second = (Parts(notebook.render(example())).ids for _ in range(2))
    assert len(set(first)) == len(first) > 0
    assert not set(first) & set(second)


@pytest.mark.parametrize("summary", [example(), hostile_everywhere()], ids=["plain", "hostile"])
def test_it_has_no_script_and_loads_nothing(summary) -> None:  # type: ignore[no-untyped-def]
    parts = Parts(notebook.render(summary))
    assert not {"script", "img", "iframe", "link", "object", "form", "html", "body"} & set(parts.tags)
    assert not [name for name in parts.names if name.startswith("on") or name in ("src", "href")]


def test_hostile_text_makes_no_markup_in_its_markdown() -> None:
    assert "<script>" not in markdown.verdict(hostile_everywhere())
    assert HOSTILE not in markdown.verdict(hostile_everywhere())


def test_its_markdown_is_the_verdict_in_bold_sentences() -> None:
    lines = markdown.verdict(example()).split("\n\n")
    assert lines
    assert all(line.startswith("**") and line.endswith("**") for line in lines)
