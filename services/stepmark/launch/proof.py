"""Prove a timed launch: after its windows, run the step that was timed through the same steps as the reference.

Nothing is built or compiled again, the batches are the timed ones, and step numbers continue from the windows. So a
mistake that began in the windows is still there.
"""

import traceback
from typing import Any

from stepmark.engines._protocol import Engine
from stepmark.errors import printable
from stepmark.launch.group import ControlGroup
from stepmark.launch.samples import batches_in_turn
from stepmark.launch.spec import LaunchSpec
from stepmark.parity.figures import compare
from stepmark.parity.judge import cell_limits, problem
from stepmark.parity.probe import Trace, trace
from stepmark.results.certificate import Figures, Limits, Proof
from stepmark.workloads import _weights
from stepmark.workloads._protocol import Workload

FAILED_SUFFIX = ".failed"  # A file with this suffix says why the reference's file is missing.


def prove(spec: LaunchSpec, engine: Engine, group: ControlGroup, workload: Workload, params: Any, steps: int) -> Proof:
    """Return this rank's part of the proof. All ranks must call this together.

    `steps` is the number of steps that the engine has made. Errors of the engine pass through.
    """
    window_digest, compiled = _weights.digest(engine.weights()), engine.compilations()
    count = batches_in_turn(spec, workload.input(params))
    first_step = -(-steps // count) * count  # The next round of batches, in the reference's order.
    found = trace(
        engine,
        starting_weights=lambda shapes: workload.starting_weights(shapes, spec.measurement.seed),
        mean_over_ranks=group.agree_mean,
        first_step=first_step,
        with_logits=False,
    )
    own = Proof(window_digest=window_digest, end_digest=_weights.digest(found.end))
    if engine.compilations() != compiled:
        return own.model_copy(
            update={"problem": "the step was compiled again after the windows, so it is not the step that was timed"}
        )
    return own.model_copy(update=_compared(spec, found, workload)) if spec.group.rank == 0 else own


def failed_proof(error: BaseException) -> Proof:
    """Return the proof of a rank on which proving raised `error`, and print the traceback."""
    traceback.print_exc()
    return Proof(missing=printable(f"the proof failed: {type(error).__name__}: {error}")[:400])


def _compared(spec: LaunchSpec, found: Trace, workload: Workload) -> dict[str, Figures | Limits | str]:
    """Return what rank 0 adds to its proof: the figures of the comparison, their limits and the problem found."""
    assert spec.reference is not None
    if not spec.reference.exists():
        why = spec.reference.with_suffix(FAILED_SUFFIX)
        cause = why.read_text() if why.exists() else "its file does not exist"
        return {"missing": f"the reference of the timed batches is missing: {cause}"[:400]}
    reference = Trace.load(spec.reference)
    figures = compare(reference, found, slice(None))
    clipped, optimizer = spec.training.clip_global_norm is not None, spec.training.optimizer
    limits = cell_limits(spec.cell, workload.float64_limit, clipped, optimizer)
    text = problem(figures, limits, tuple(reference.end), spec.cell.workers > 1)
    return {"figures": figures, "limits": limits, "problem": text[:1000]}
