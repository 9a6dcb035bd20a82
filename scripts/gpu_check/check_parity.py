"""How far each engine's models on the GPU are from the CPU in float64, with controls that must be caught."""

from collections.abc import Callable
from typing import Any

from findings import Findings
from lab import context, framework
from registry import Size

from stepmark import catalog
from stepmark.engines._device import CPU
from stepmark.parity.figures import compare
from stepmark.parity.judge import limits_for, problem
from stepmark.parity.probe import Trace, trace
from stepmark.workloads import _batches

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": 64},
    "resnet": {"depth": 18, "imageSize": 32, "stem": "standard", "classes": 10},
    "lstm": {"vocabulary": 50, "length": 12, "embedding": 16, "hidden": 24},
    "transformer": {"vocabulary": 50, "length": 12},
    "gpt": {"vocabulary": 50, "length": 12},
}
_PRECISIONS = {
    "torch": ("float64", "float32", "tf32", "bfloat16", "float16"),
    "keras-torch": ("float32", "bfloat16"),
    "keras-jax": ("float32", "bfloat16"),
}


def check(size: Size, findings: Findings, engine: str) -> None:
    """Compare every model and precision of an engine with torch's float64 on the CPU, which torch's check writes."""
    models = size.pick(tuple(SMALL), ("mlp", "resnet"), ("mlp",))
    references = {model: _reference(engine, size, model, findings) for model in models}
    for model in models:
        for precision in _PRECISIONS[engine] if size.on_gpu else ("float32",):
            for execution in _executions(engine, precision, size):
                _compared(engine, size, model, precision, execution, references[model], findings)
    if size.on_gpu and engine == "torch":
        _controls(size, references, findings)


def _reference(engine: str, size: Size, model: str, findings: Findings) -> Trace:
    file = findings.folder.parent / f"reference.{model}.npz"
    if engine == "torch":
        _traced("torch", size, model, "float64", on_cpu=True).save(file)
    return Trace.load(file)


def _executions(engine: str, precision: str, size: Size) -> tuple[str, ...]:
    support = catalog.load_engine(engine).SUPPORT
    if engine == "torch" and precision == "float32" and size.name == "full":
        return ("eager", "compiled")
    return (support.default_execution,)


def _traced(
    engine: str, size: Size, model: str, precision: str, execution: str | None = None, on_cpu: bool = False
) -> Trace:
    module, workload = framework(engine, size), catalog.load_workload(model)
    changes: dict[str, Any] = {"device": CPU} if on_cpu else {}
    chosen = execution or module.SUPPORT.default_execution
    built = module.Engine(context(size, execution=chosen, precision=precision, **changes))
    built.join_group()
    params = workload.parse(SMALL[model])
    batches = _batches.global_batches(workload.input(params), "synthetic", 7, 8, _batches.BATCHES)
    built.build(workload, params, batches, 0.0625)
    return trace(
        built,
        starting_weights=lambda shapes: workload.starting_weights(shapes, 7),
        mean_over_ranks=lambda loss: loss,
    )


def _compared(
    engine: str, size: Size, model: str, precision: str, execution: str, reference: Trace, findings: Findings
) -> None:
    """Store the figures of two checks of the same cell: the larger counts, and their difference is noise."""
    name = f"{engine}.{model}.{execution}.{precision}"
    try:
        found = [compare(reference, _traced(engine, size, model, precision, execution), slice(None)) for _ in range(2)]
    except Exception as error:  # A combination that fails must not keep the others from being checked.
        findings.problem(f"{name}: {type(error).__name__}: {error}"[:400])
        return
    worst = max(found, key=lambda figures: figures.worst)
    findings.figure(
        name,
        {
            "forward": worst.forward, "loss": worst.loss, "gradient": worst.gradient,
            "tensor": worst.tensors[0].error if worst.tensors else 0.0, "weights": worst.weights,
            "update": worst.update, "between_two": abs(found[0].worst - found[1].worst),
        },
    )  # fmt: skip
    limit = catalog.load_workload(model).float64_limit
    limits = limits_for(precision, execution, limit, device="gpu" if size.on_gpu else "cpu")
    text = problem(worst, limits, tuple(reference.end), distributed=False)
    if text:
        findings.problem(f"{name}: {text}"[:500])


def _controls(size: Size, references: dict[str, Trace], findings: Findings) -> None:
    """Turn TF32 on in a cell of float32, which must not pass."""
    import torch

    for model in references:
        if model == "lstm":
            continue
        found = _with_tf32(torch, lambda model=model: _traced("torch", size, model, "float32"))  # type: ignore[misc]
        figures = compare(references[model], found, slice(None))
        limits = limits_for("float32", "eager", 1e-12, device="gpu")
        caught = bool(problem(figures, limits, tuple(references[model].end), distributed=False))
        findings.figure(f"control.tf32.{model}", {"forward": figures.forward, "caught": caught})
        if not caught:
            findings.problem(f"control tf32 in {model}: expected that it is caught, found forward {figures.forward}")


def _with_tf32(torch: Any, traced: Callable[[], Trace]) -> Trace:
    """Make the engine's own switch to float32 do nothing, as if somebody had forgotten it."""
    real = torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision = lambda _: real("high")
    cudnn = torch.backends.cudnn
    try:
        with cudnn.flags(enabled=True, allow_tf32=True):
            return traced()
    finally:
        torch.set_float32_matmul_precision = real
        real("highest")
