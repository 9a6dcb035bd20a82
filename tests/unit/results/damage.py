"""Damage that disks and people do to a file, drawn from a seed."""

import random
import re

PAGE = 4096
KINDS = ("bytes", "bit", "digit", "page")


def damaged(data: bytes, kind: str, seed: int) -> bytes:
    """Return data of the same length with up to 64 bytes, one bit, one digit of a text, or one page changed."""
    chance, made = random.Random(f"{kind} {seed}"), bytearray(data)
    if kind == "bytes":
        length = chance.randint(1, 64)
        start = chance.randrange(len(data) - length)
        made[start : start + length] = chance.randbytes(length)
    elif kind == "bit":
        made[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "digit":
        place = chance.choice([match.start() for match in re.finditer(rb"\d(?=[\d,.}])", data)])
        made[place] = ord(chance.choice([digit for digit in "0123456789" if ord(digit) != data[place]]))
    else:
        pages = len(data) // PAGE
        lost, other = PAGE * chance.randrange(pages), PAGE * chance.randrange(pages)
        made[lost : lost + PAGE] = chance.choice([bytes(PAGE), chance.randbytes(PAGE), data[other : other + PAGE]])
    return bytes(made)
