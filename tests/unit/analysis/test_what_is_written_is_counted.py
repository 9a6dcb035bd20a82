"""Lines, names and tokens of snippets are those that a person counts; layout, comments and proofs do not count."""

import pytest

from stepmark.analysis.written import Written, written

MODULE = "own.model"


def counts(source: str, **others: str) -> dict[str, tuple[int, int, int]]:
    sources = {MODULE: source, **{f"own.{name}": text for name, text in others.items()}}
    return {one.part: figures(one) for one in written("m", MODULE, sources)}


def figures(one: Written) -> tuple[int, int, int]:
    return one.lines, one.names, one.tokens


def model(torch: str, keras: str = "pass", before: str = "") -> str:
    return f"{before}\nclass Model:\n def torch_model(self, p):\n  {torch}\n def keras_model(self, p):\n  {keras}\n"


HEAD = (1, 3, 8)  # def torch_model ( self , p ) :
"""The figures of a method's first line; `self` and `p` are among its names."""


def plus(lines: int, names: int, tokens: int) -> tuple[int, int, int]:
    return HEAD[0] + lines, HEAD[1] + names, HEAD[2] + tokens


def test_a_line_has_its_names_and_tokens() -> None:
    found = counts(model("return Linear(p.width, 10)", "return Dense(10)"))
    assert found == {"torch": plus(1, 2, 9), "keras": plus(1, 1, 5)}


@pytest.mark.parametrize(
    "same",
    [
        "return Linear(\n\n   p.width,  # the width\n   10)",
        '"""Build it."""\n  return Linear(p.width, 10)',
        "return Linear(p.width, 10, name='fc')",
        "return _keras.logits(Linear(p.width, 10))",
    ],
)
def test_layout_comments_docstrings_and_what_parity_needs_do_not_count(same: str) -> None:
    assert counts(model(same))["torch"] == plus(1, 2, 9)


def test_annotations_do_not_count() -> None:
    plain = counts(model("x = 1\n  return x"))
    assert counts(model("x: Tensor[int] = 1\n  return x").replace("p)", "p: Params) -> Model")) == plain


def test_an_import_that_is_written_twice_counts_once() -> None:
    once = counts(model("from torch import nn\n  return nn"))["torch"]
    assert counts(model("from torch import nn\n  from torch import nn\n  return nn"))["torch"] == once


def test_a_formatted_string_is_one_token_in_every_version_of_python() -> None:
    assert counts(model("return f'{p.a} and {p.b}'"))["torch"] == plus(1, 0, 2)


def test_what_one_part_uses_counts_there_and_what_both_use_is_shared() -> None:
    before = "def a():\n return b()\ndef b():\n return 1\ndef both():\n return 2\ndef unused():\n return 3"
    found = counts(model("return a() + both()", "return both()", before))
    assert found["torch"] == (6, 6, 32)
    assert found["keras"] == (2, 4, 12)
    assert found["shared"] == (2, 1, 7)


def test_constants_that_are_assigned_together_count_once() -> None:
    assert counts(model("return A + B", before="A, B = pair"))["torch"] == plus(2, 3, 9)


def test_functions_of_other_modules_count_by_either_way_of_import() -> None:
    other = "def block():\n return 1"
    by_name = counts(model("return block()", before="from own.other import block"), other=other)
    by_module = counts(model("return other.block()", before="from own import other"), other=other)
    assert by_name["torch"] == (4, 4, 19)
    assert by_module["torch"] == (4, 5, 21)


def test_a_function_that_uses_itself_counts_once() -> None:
    assert counts(model("return a()", before="def a():\n return a()"))["torch"] == (4, 4, 21)
