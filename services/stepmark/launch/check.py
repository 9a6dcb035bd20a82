"""Run one rank's part of a parity check, which is a launch in which nothing is timed."""

import os

from stepmark import catalog
from stepmark.engines._optimizers import RATES
from stepmark.launch import own_model, reporting
from stepmark.launch.buffer import StampBuffer
from stepmark.launch.foreign import workload_of
from stepmark.launch.joining import join
from stepmark.launch.nccl_log import log_variables, transport_flags
from stepmark.launch.samples import all_samples, first_length, own_samples, shaped
from stepmark.launch.spec import LaunchSpec
from stepmark.parity.figures import compare
from stepmark.parity.probe import Trace, batches_digest, trace
from stepmark.plan.blocks import Probe
from stepmark.results.certificate import ProbeReport
from stepmark.workloads import _weights


def check(spec: LaunchSpec, probe: Probe) -> ProbeReport:
    """Run this rank's part of a parity check. Rank 0 writes the reference, or compares with it."""
    if spec.placement.gpus:
        os.environ.update(log_variables(spec.placement.directory))  # NCCL reads them when it starts.
    module = catalog.load_engine(spec.cell.engine)
    module.import_framework()
    engine, group = join(module, spec, StampBuffer(spec.placement.directory / reporting.STAMPS))
    workload = shaped(spec, workload_of(spec))
    params = workload.parse(spec.workload.params)
    inputs = workload.input(params)
    engine.build(workload, params, own_samples(spec, inputs), RATES[spec.training.optimizer])
    if own_model.is_looked_at(spec.workload.model, workload):
        own_model.check_outputs(engine, inputs)
    found = trace(
        engine,
        starting_weights=lambda shapes: workload.starting_weights(shapes, spec.measurement.seed),
        mean_over_ranks=group.agree_mean,
        with_logits=probe.logits,
        with_layers=probe.layers,
        length=first_length(spec, inputs),
    )
    figures = None
    assert spec.reference is not None
    if spec.group.rank == 0 and probe.writes:
        found.save(spec.reference)
    elif spec.group.rank == 0:
        figures = compare(Trace.load(spec.reference), found, slice(0, None, spec.group.world_size))
    flags = engine.flags() | transport_flags(spec.placement.directory)
    group.finish()
    return ProbeReport(
        rank=spec.group.rank,
        start_digest=found.start_digest,
        batches_digest=batches_digest(all_samples(spec, inputs)),
        end_digest=_weights.digest(found.end),
        tensors=tuple(sorted(found.end)),
        figures=figures,
        flags=flags,
    )
