"""Texts and tables on a terminal, alike in every verb."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepmark.errors import printable


def shown(text: str) -> str:
    """Foreign text for rich: no markup and no control character in it is obeyed."""
    return escape(printable(text))


def titled(title: str) -> Table:
    """An empty table under a title, which may be foreign text."""
    return Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")


def print_whole(table: Table, console: Console) -> None:
    """Wider than the terminal if need be: wrapped by it, but never cut short."""
    unlimited = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    console.print(table)
