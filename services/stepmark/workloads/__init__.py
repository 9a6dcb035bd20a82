"""Define the models that can be trained: one file each, written once per framework as its users would write it.

This package owns a model's parameters, its cost formulas with their sources, its builders, and the batches that it is
fed. It knows nothing of strategies, timing or Ray. Frameworks are imported only inside the builders.

A model of your own is a class made from `TorchModel`, `KerasModel` or `ModelPair` (docs/own-model.md).
"""

from stepmark.strict import StrictModel as Params
from stepmark.workloads._own import KerasModel, ModelPair, TorchModel
from stepmark.workloads._pairing import Place
from stepmark.workloads._protocol import InputSpec, Workload

__all__ = ["InputSpec", "KerasModel", "ModelPair", "Params", "Place", "TorchModel", "Workload"]
