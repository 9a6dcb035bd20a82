"""Parameters, as a scenario has them, with which each of stepmark's own models trains in moments.

All tests that train every model use them.
"""

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": 16},
    "resnet": {"depth": 8, "imageSize": 8, "channels": 1, "classes": 10},
    "lstm": {"vocabulary": 20, "length": 6, "embedding": 8, "hidden": 8},
    "transformer": {"vocabulary": 20, "length": 6, "layers": 1, "heads": 2, "width": 8, "classes": 10},
    "gpt": {"vocabulary": 20, "length": 6, "layers": 1, "heads": 2, "width": 8},
}
