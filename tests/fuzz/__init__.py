"""Documents and wire records as nobody writes them, from a seed, and what must hold of them.

`make fuzz MINUTES=10` goes on for so long from a seed of its own; the tests take the first seeds. A case that broke
something is kept in tests/corpus/fuzzed.
"""
