"""Changes of JSON values and of bytes. A random generator with a seed decides each of them."""

import copy
import random
from collections.abc import Sequence
from typing import Any

EVIL: tuple[Any, ...] = (
    None, True, False, "", 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0, 1e-320, float("inf"),
    float("nan"), "NaN", "Infinity", "1", "true", "null", "~", "x" * 500, "\x00", "\x1b[2J", "\u202e", "\ud800",
    "\U0010ffff", "a\nb", "..", "../../etc/passwd", "<script>", "[red]", "{{ 7 * 7 }}", "${HOME}", "2001-01-01",
    "0x1F", "1_000", "12:30:45", [], {}, [[]], [None], {"": ""}, {"a": {"a": {"a": {}}}},
    [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]], [0] * 100,
)  # fmt: skip

TOKENS = (
    b"!!binary ", b"!!set ", b"!!timestamp ", b"!!int ''", b"!!float ''", b"!!bool x", b"!!map [a]", b"! ", b"!a ",
    b"&a ", b"*a", b"? ", b": ", b"- ", b"---\n", b"...\n", b"%YAML 9.9\n", b"|\n", b">\n", b"[", b"]", b"{", b"}",
    b",", b"#", b"'", b'"', b'"\\Uffffffff"', b'"\\ud800"', b'"\\x00"', b"\t", b"\r", b"\x00", b"\x85",
    b"\xe2\x80\xa8", b"\xff\xfe", b"\xed\xa0\x80", b"<<: ", b"=", b".inf", b"-.inf", b".nan", b"1e9999", b"0o777",
    b"9" * 400, b"\n\n",
)  # fmt: skip


def _containers(value: Any) -> list[Any]:
    """Return all lists and mappings in the value, itself included."""
    found = [value] if isinstance(value, dict | list) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [one for child in inner for one in _containers(child)]


def leaves(value: Any) -> list[Any]:
    """Return all plain values in the value."""
    inside = [child for one in _containers(value) for child in (one.values() if isinstance(one, dict) else one)]
    return [child for child in inside if not isinstance(child, dict | list)]


def mutated(value: Any, chance: random.Random, tame: Sequence[Any]) -> Any:
    """Return a copy with one to four changes of its structure. `tame`: values that are valid in some place."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 2, 4])):
        filled = [one for one in _containers(value) if one]
        if not filled:
            return chance.choice(EVIL)
        _change(chance.choice(filled), chance, chance.choice([EVIL, tame]))
    return value


def _change(inside: Any, chance: random.Random, others: Sequence[Any]) -> None:
    """Replace, wrap, double, remove or rename one entry of this list or mapping."""
    place = chance.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
    how = chance.randrange(8)
    if how < 4:
        inside[place] = copy.deepcopy(chance.choice(others))
    elif how == 4:
        inside[place] = chance.choice([[inside[place]], {"a": inside[place]}])
    elif how == 5:
        del inside[place]
    elif isinstance(inside, list):
        inside.extend(copy.deepcopy(inside[place]) for _ in range(chance.choice([1, 2, 40])))
    else:
        name = chance.choice([f"{place}x", str(place).upper(), "", "\x1b", "metadata", "spec"])
        inside[name] = inside.pop(place) if how == 6 else copy.deepcopy(inside[place])


def garbled(data: bytes, chance: random.Random) -> bytes:
    """Return a copy with up to eight changes: bytes are flipped, cut or doubled, or a token of YAML is put in."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(made) + 1)
        how = chance.randrange(4)
        if how == 0 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            made[at : at + chance.randint(1, 30)] = b""
        elif how == 2:
            made[at:at] = made[at : at + chance.randint(1, 60)]
        else:
            made[at:at] = chance.choice(TOKENS)
    return bytes(made)
