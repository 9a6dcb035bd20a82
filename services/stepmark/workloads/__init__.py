"""Models that can be trained: one file each, written once per framework as its users would write it.

Owns: a model's parameters, its cost formulas with their sources, its builders and the batches it is fed. Knows
nothing of strategies, timing or Ray. Frameworks are imported inside the builders only.
"""
