"""The `Sweep` of a scenario: at which settings every candidate is measured."""

from typing import Annotated

from pydantic import Field

from stepmark.strict import EACH_ONCE, EachOnce, StrictModel
from stepmark.terms import ExecutionLevel, Precision


class Sweep(StrictModel):
    """Executions, precisions and sizes at which every candidate is measured."""

    execution: Annotated[
        tuple[ExecutionLevel, ...], Field(min_length=1, max_length=4, json_schema_extra=EACH_ONCE), EachOnce
    ] = ("default",)
    """eager: no graph; graph: traced; compiled: torch.compile or XLA; default: what the engine's users get without
    asking."""
    precision: Annotated[
        tuple[Precision, ...], Field(min_length=1, max_length=5, json_schema_extra=EACH_ONCE), EachOnce
    ] = ("float32",)
    """float32 (TF32 off), tf32, float64, or the framework's mixed precision: bfloat16, float16 with loss scaling."""
    message_bytes: Annotated[
        tuple[Annotated[int, Field(ge=1024, le=1 << 30)], ...],
        Field(max_length=32, json_schema_extra=EACH_ONCE),
        EachOnce,
    ] = ()
    """Sizes of the message of a collective, 1 KiB to 1 GiB; only for workloads that exchange messages and train
    nothing."""
