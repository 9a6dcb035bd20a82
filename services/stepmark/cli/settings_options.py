"""Make the options of a service's command from its settings model, so that a default and a help text stand there only.

A field is one option and one environment variable. The help is the field's docstring, its limits and its default.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from stepmark.cli.service_settings import Readers, Settings, is_repeated, names_of, settings_of

_PLAIN = (bool, int, float, str)
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def takes_settings(
    kind: type[Settings], variables: str, readers: Readers
) -> Callable[[Callable[[Settings], None]], Callable[..., None]]:
    """Return a decorator that makes a function of settings one of options, as typer reads them from its signature.

    The arguments are those of `settings_of`.
    """
    own = inspect.get_annotations(kind)
    names = sorted(kind.model_fields, key=lambda name: name not in own)  # Inherited fields come last.
    parameters = [_parameter(kind, name, variables) for name in names]

    def decorate(function: Callable[[Settings], None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            function(settings_of(kind, values, variables, readers))

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def option(kind: type[BaseModel], field: str, variables: str) -> Any:
    """Return this field's option, for the annotation of a parameter."""
    name, variable = names_of(kind, field, variables)
    return typer.Option(name, envvar=variable, help=_help(field, kind.model_fields[field]), show_default=False)


def _parameter(kind: type[BaseModel], field: str, variables: str) -> inspect.Parameter:
    its, empty = kind.model_fields[field], inspect.Parameter.empty
    default = empty if its.is_required() else its.default if isinstance(its.default, _PLAIN) else None
    annotation: Any = Annotated[_typed(its), option(kind, field, variables)]
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typed(field: FieldInfo) -> Any:
    """Return the type that is read from the command line: text where the model knows better what it may be."""
    if is_repeated(field):
        return list[str]
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in (bool, int, float, Path) if kind in kinds), str)


def _help(name: str, field: FieldInfo) -> str:
    sentences = [" ".join((field.description or "").split())]
    if limits := _limits(name, field):
        sentences.append(f"Values: {limits}.")
    if isinstance(field.default, _PLAIN) and not isinstance(field.default, bool):
        sentences.append(f"Default: {_value(name, field.default)}.")
    return " ".join(sentences)


def _limits(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    bounds = ((words, getattr(one, key, None)) for one in field.metadata for key, words in _LIMITS.items())
    return ", ".join(f"{words} {_value(name, bound)}" for words, bound in bounds if bound is not None)


def _value(name: str, value: Any) -> str:
    if "bytes" in name:
        return ByteSize(value).human_readable(separator=" ")
    return f"{value:g}" if isinstance(value, float) else str(value)
