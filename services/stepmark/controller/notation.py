"""Kubernetes' notation for names, labels, images, cores and memory, as field types that check it."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=317)
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
Image = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-zA-Z0-9.]*)(:[0-9]+)?(/[a-z0-9]([-a-z0-9._]*[a-z0-9])?)*"
        r"(:[A-Za-z0-9_][-A-Za-z0-9_.]*)?(@sha256:[0-9a-f]{64})?$",
        max_length=512,
    ),
]

_CPU = r"^([1-9][0-9]*m|[1-9][0-9]*(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9][0-9]{0,2})$"
_MEMORY = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_FACTORS["Ti"] = 1 << 40


def _number_as_text(value: object) -> object:
    """Convert a number to text: 4 and "4" are the same quantity, as they are in a Pod."""
    return format(value, "g") if isinstance(value, int | float) and not isinstance(value, bool) else value


def _number_or(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "pattern": pattern, "exclusiveMinimum": 0, "maxLength": 16})


Cpu = Annotated[str, Field(pattern=_CPU, max_length=16), BeforeValidator(_number_as_text), _number_or(_CPU)]
"""A number of cores in Kubernetes' notation: 4, "0.5" or "500m"."""
Memory = Annotated[str, Field(pattern=_MEMORY, max_length=16)]
"""An amount of memory in Kubernetes' notation, such as 16Gi."""


def millicores(cpu: str) -> int:
    """Convert a `Cpu` to thousandths of a core."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def memory_bytes(memory: str) -> int:
    """Convert a `Memory` to bytes."""
    digits = re.match(r"[0-9]+", memory)
    assert digits is not None, "checked by its pattern"
    return int(digits.group()) * _FACTORS[memory[digits.end() :]]
