"""`stepmark new workload`: write a package with an own model that runs as it is."""

from typing import Literal

Framework = Literal["torch", "keras", "both"]

_BASES = {"torch": "TorchModel", "keras": "KerasModel", "both": "ModelPair"}
_CANDIDATES = {
    "torch": ["torch"],
    "keras": ["keras-tensorflow", "keras-torch"],
    "both": ["torch", "keras-tensorflow"],
}
_PURPOSES = {
    "torch": "How much faster is the model compiled?",
    "keras": "On which backend does the model train fastest?",
    "both": "In which framework does the model train fastest?",
}
