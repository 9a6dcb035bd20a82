"""Commands whose options are made from settings models: they are loaded when they are called, since models are slow."""

from typing import Any

from typer.core import TyperCommand
from typer.main import get_command


class Deferred(TyperCommand):
    """Stands for a typer app until it is called. The decorated function imports the app and returns it."""

    def load(self) -> Any:
        """Return the app's command. Its help is the docstring of the function, which the list of commands shows."""
        assert self.callback is not None
        command = get_command(self.callback())
        command.help = self.help
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments as the app's command does. Typer calls the command of this context."""
        return self.load().make_context(info_name, args, parent, **extra)
