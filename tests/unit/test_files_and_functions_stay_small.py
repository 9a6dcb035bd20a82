"""Files have at most 300 lines and functions at most 50, except the migrations, which are one list each."""

import ast

from conftest import ROOT

FILES = sorted((ROOT / "services").rglob("*.py"))


def test_no_file_is_too_long() -> None:
    assert [str(path) for path in FILES if len(path.read_text().splitlines()) > 300] == []


def test_no_function_is_too_long() -> None:
    functions = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "migrations" not in path.parts
    ]
    assert [f"{path}: {one.name}" for path, one in functions if _lines(one) > 50] == []


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1
