"""Tables on a terminal, alike in every verb."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def titled(title: str) -> Table:
    """An empty table under a title, which may be foreign text."""
    return Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")


def print_whole(table: Table, console: Console) -> None:
    """Wider than the terminal if need be: wrapped by it, but never cut short."""
    unlimited = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    console.print(table)
