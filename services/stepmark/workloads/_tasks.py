"""List what the steps of a cluster check do, in turn: products, copies and exchanges, with a barrier before each."""

from dataclasses import dataclass
from typing import Literal

from stepmark.terms import DeviceKind

Kind = Literal["barrier", "product", "copy", "all-reduce", "pairs"]

ROUNDS_MOST = 15  # With up to 16 ranks every pair is measured; of more, each rank with this many others.


PRODUCTS = 10
"""A task multiplies this often, so that it takes long beside a call."""


@dataclass(frozen=True)
class Sizes:
    """Hold the side of the matrices, and how many bytes are copied and exchanged: more than caches hold."""

    side: int
    copied_bytes: int
    message_bytes: int


SIZES: dict[DeviceKind, Sizes] = {"cpu": Sizes(512, 32 << 20, 4 << 20), "gpu": Sizes(8192, 1 << 30, 256 << 20)}


@dataclass(frozen=True)
class Task:
    """Describe one step: its kind and, for exchanges of pairs, the ranks of each pair, lower first.

    `amount` is the floating-point operations of a product, or the bytes of a copy or of the message of an exchange.
    """

    kind: Kind
    pairs: tuple[tuple[int, int], ...] = ()
    amount: int = 0


BARRIER = Task("barrier")


def tasks_of(ranks: int, device: DeviceKind) -> tuple[Task, ...]:
    """Return one round of the check, which the steps repeat."""
    sizes = SIZES[device]
    timed = [
        Task("product", amount=PRODUCTS * 2 * sizes.side**3),  # a multiply-add counts 2
        Task("copy", amount=sizes.copied_bytes),
        Task("all-reduce", amount=sizes.message_bytes),
        *(Task("pairs", pairs, sizes.message_bytes) for pairs in rounds_of(ranks)),
    ]
    return tuple(task for one in timed for task in (BARRIER, one))


def rounds_of(ranks: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return rounds of disjoint pairs, in which each pair of ranks comes once, at most `ROUNDS_MOST` of them.

    The rounds are those of the circle method for tournaments: the first of the circle stays, and the others move on by
    one place in each round. With an odd number of ranks one rests in each round.
    """
    places = ranks + ranks % 2
    found = []
    for turn in range(places - 1):
        circle = [0, *(1 + (index + turn) % (places - 1) for index in range(places - 1))]
        pairs = zip(circle[: places // 2], reversed(circle[places // 2 :]), strict=True)
        found.append(tuple((min(pair), max(pair)) for pair in pairs if max(pair) < ranks))
    return tuple(found[:ROUNDS_MOST])
