"""Print texts and tables on a terminal, alike in every command."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepmark.errors import printable


def shown(text: str) -> str:
    """Return foreign text for rich, in which no markup and no control character takes effect."""
    return escape(printable(text))


def titled(title: str) -> Table:
    """Return an empty table under a title, which may be foreign text."""
    return Table(title=shown(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")


def print_whole(table: Table, console: Console) -> None:
    """Print a table that may be wider than the terminal: the terminal wraps it, and it is never cut short."""
    unlimited = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    console.print(table)


def common_ending(cells: Sequence[str]) -> str:
    """Return what all names of cells end in after their executions, such as `.float32.w1`; empty where they differ."""
    endings = {cell[cell.index(".", cell.index(".") + 1) :] for cell in cells}
    return endings.pop() if len(endings) == 1 else ""
