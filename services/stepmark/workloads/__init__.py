"""Define the models that can be trained: one file each, written once per framework as its users would write it.

This package owns a model's parameters, its cost formulas with their sources, its builders, and the batches that it is
fed. It knows nothing of strategies, timing or Ray. Frameworks are imported only inside the builders.
"""
