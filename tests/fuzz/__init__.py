"""Documents and wire records that nobody would write, made from a seed, and the properties that must hold for them.

`make fuzz MINUTES=10` runs for so long from a new seed; the tests run the first seeds. A case that fails is kept in
tests/corpus/fuzzed.
"""
