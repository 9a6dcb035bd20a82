"""Reduce launches one after another, or on all cores where there are thousands."""

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from stepmark.analysis.launch import Launch, reduced
from stepmark.results.store import Row, record_of

_MANY = 2000  # with fewer rows, starting processes would take longer than they save
_CHUNK, _CHUNKS_AHEAD = 50, 2 * (os.cpu_count() or 1)


def reduced_rows(rows: Iterable[Row], flops_per_sample: int | None) -> Iterator[Launch]:
    """Yield every row's launch, in the order of the rows."""
    rows = iter(rows)
    first = list(itertools.islice(rows, _MANY))
    if len(first) < _MANY:
        yield from _reduced(flops_per_sample, first)
        return
    # Processes are spawned, not forked, since the caller may have threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from _in_order(pool, partial(_reduced, flops_per_sample), _chunks(itertools.chain(first, rows)))


def _in_order(
    pool: ProcessPoolExecutor, work: Callable[[list[Row]], list[Launch]], chunks: Iterator[list[Row]]
) -> Iterator[Launch]:
    """Yield results in order, as `pool.map` does, which would read all chunks at once."""
    running = deque(pool.submit(work, chunk) for chunk in itertools.islice(chunks, _CHUNKS_AHEAD))
    while running:
        launches = running.popleft().result()
        running.extend(pool.submit(work, chunk) for chunk in itertools.islice(chunks, 1))
        yield from launches


def _reduced(flops_per_sample: int | None, rows: list[Row]) -> list[Launch]:
    return [reduced(record_of(row), flops_per_sample) for row in rows]


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield chunk
