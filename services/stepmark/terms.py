"""Define the closed sets of terms that scenarios, plans, engines and records share, and how sizes are written."""

from typing import Literal

ExecutionLevel = Literal["default", "eager", "graph", "compiled"]
Precision = Literal["float32", "tf32", "bfloat16", "float16", "float64"]
Option = Literal[
    "channels-last",
    "fused-optimizer",
    "foreach-optimizer",
    "bucket-view",
    "cudnn-autotune",
    "cuda-graphs",
    "bucketed",
    "dynamic-length",
    "dynamic-compile",
    "dataloader",
    "tf-data",
    "py-dataset",
    "fit",
    "steps-per-execution",
]
OptimizerName = Literal["sgd", "adamw"]
Compared = Literal["candidates", "executions", "precisions", "options"]
DataSource = Literal["synthetic", "host", "digits", "python-docs"]
REAL_SOURCES: tuple[DataSource, ...] = ("digits", "python-docs")
"""The sources with samples that a model can learn from."""
Transform = Literal["none", "affine", "spectrogram"]
DeviceKind = Literal["cpu", "gpu"]
DeviceChoice = Literal["auto", "cpu", "gpu"]
Launcher = Literal["ray", "bare"]
StartKind = Literal["cold", "warm", "edited"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_LAUNCHER: Launcher = "ray"
"""The launcher of a run whose launcher nobody names."""


def size_text(size: int) -> str:
    """Return a number of bytes in the largest binary unit that gives a whole number: 64KiB."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >> power << power == size and size >> power:
            return f"{size >> power}{unit}"
    return f"{size}B"
