"""Count what a person writes for a model: logical lines, names and tokens, from source text that is never executed.

A part begins at one method of a class. The functions, classes and constants that it uses belong to it, with all that
those use in turn, in its own module and in others that are given. What both frameworks' parts use is a part of its own,
`shared`. The text of a part is its syntax tree, written out by `ast.unparse`, so that neither layout nor comments
count, without docstrings and annotations, and without what only the proof of parity needs: the keyword `name` of a
call, and the cast of the last layer, `logits`. The tokens are those of Python's `tokenize`: a logical line ends with
NEWLINE, names are the different identifiers, keywords of the language left out, a string is one token, formatted or
not, and an import that is written twice counts once. What is imported at the top of a module, and the class of the
parameters, does not count.
"""

import ast
import io
import keyword
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

PARTS: Mapping[Literal["torch", "keras"], str] = {"torch": "torch_model", "keras": "keras_model"}
"""The method at which each framework's part begins."""
_SHARED = "shared"
_OF_PARITY = "logits"
_COUNTED = (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING)


class Written(BaseModel):
    """Store what is written for one model in one framework (`torch`, `keras`), or for both (`shared`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    part: str
    lines: int
    names: int
    tokens: int


def written(model: str, module: str, sources: Mapping[str, str]) -> tuple[Written, ...]:
    """Return the counts of a model's parts. `sources` holds the text of `module` and of the others, by dotted names.

    A method that the model's class lacks gives no part.

    Raises:
        SyntaxError: a source is no Python.
    """
    modules = {name: _Module.of(text) for name, text in sources.items()}
    reached = {part: _reached(module, method, modules) for part, method in PARTS.items()}
    both = set.intersection(*(set(found) for found in reached.values()))
    parts: dict[str, list[ast.stmt]] = {
        part: [node for key, node in found.items() if key not in both] for part, found in reached.items()
    }
    parts[_SHARED] = [node for key, node in next(iter(reached.values())).items() if key in both]
    return tuple(_count(model, part, nodes) for part, nodes in parts.items() if nodes)


@dataclass(frozen=True)
class _Module:
    """Hold a module's definitions by name, and what it imports: a local name, with its module and its name there.

    A module that is imported as a whole has no name there.
    """

    definitions: Mapping[str, ast.stmt]
    imports: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> "_Module":
        tree = ast.parse(text)
        definitions: dict[str, ast.stmt] = {}
        imports: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            definitions |= dict.fromkeys(_defined(node), node)
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imports |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        return cls(definitions, imports)


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


_Place = tuple[str, int]
"""A module, and the line at which a definition begins there."""


def _reached(module: str, method: str, modules: Mapping[str, _Module]) -> dict[_Place, ast.stmt]:
    """Return the method's definition, cleaned, and all that it uses, in the order of use."""
    found: dict[_Place, ast.stmt] = {}
    left = [(module, node) for node in _methods(modules[module], method)]
    while left:
        where, node = left.pop(0)
        if (where, node.lineno) in found:
            continue
        found[where, node.lineno] = cleaned = _cleaned(node)
        for used in _used(cleaned):
            left += _resolved(where, used, modules)
    return found


def _methods(module: _Module, method: str) -> Iterator[ast.stmt]:
    for node in module.definitions.values():
        if isinstance(node, ast.ClassDef):
            yield from (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == method)


def _used(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield every name that is read, and every attribute of a name, as (name, attribute or nothing)."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            yield one.value.id, one.attr
        elif isinstance(one, ast.Name):
            yield one.id, ""


def _resolved(where: str, used: tuple[str, str], modules: Mapping[str, _Module]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the definition that a name stands for; nothing where it is a local name or of a foreign package."""
    name, attribute = used
    module = modules[where]
    if name in module.definitions:
        yield where, module.definitions[name]
    if name not in module.imports:
        return
    source, there = module.imports[name]
    whole = f"{source}.{there}"
    target, wanted = (whole, attribute) if whole in modules else (source, there)
    if target in modules and wanted in modules[target].definitions:
        yield target, modules[target].definitions[wanted]


class _Cleaner(ast.NodeTransformer):
    """Remove what does not count: annotations, docstrings, keywords `name`, and the cast of the last layer."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def _without_docstring(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return ast.Expr(node.target)
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == _OF_PARITY and len(node.args) == 1:
            return self.visit(node.args[0])
        node.keywords = [one for one in node.keywords if one.arg != "name"]
        return self.generic_visit(node)


def _cleaned(node: ast.stmt) -> ast.stmt:
    copy = ast.parse(ast.unparse(node)).body[0]
    cleaned: ast.stmt = ast.fix_missing_locations(_Cleaner().visit(copy))
    return cleaned


class _WithPlainStrings(ast.NodeTransformer):
    """Make plain strings of formatted ones, of which Python 3.12 makes several tokens, and 3.11 one."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.copy_location(ast.Constant("formatted"), node)


def _count(model: str, part: str, nodes: list[ast.stmt]) -> Written:
    text = "\n".join(ast.unparse(_WithPlainStrings().visit(node)) for node in nodes)
    tokens = list(_tokens(text))
    names = {one.string for one in tokens if one.type == tokenize.NAME and not keyword.iskeyword(one.string)}
    return Written(
        model=model,
        part=part,
        lines=sum(one.type == tokenize.NEWLINE for one in tokens),
        names=len(names),
        tokens=sum(one.type in _COUNTED for one in tokens),
    )


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Yield the tokens of each logical line; those of an import that came before are left out."""
    seen: set[str] = set()
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line.append(token)
        if token.type != tokenize.NEWLINE:
            continue
        words = [one.string for one in line if one.type in _COUNTED]
        said = " ".join(words)
        if words[0] not in ("import", "from") or said not in seen:
            yield from line
        seen.add(said)
        line = []
