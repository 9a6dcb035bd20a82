"""Say how large the model of a run is, by the workload's formulas or by what its launches counted."""

from collections.abc import Iterable

from stepmark import catalog
from stepmark.plan.foreign import WorkloadFacts
from stepmark.results.record import ModelFacts
from stepmark.results.store import Run

FORMULA = "the workload's formula"
_PREFERRED = "torch's"
"""Its counter takes matrix products and convolutions only, as the formulas do."""


def by_formula(run: Run) -> ModelFacts | None:
    """Return what the workload's formulas say, or None where it has none.

    Foreign code is not loaded to tell them: what it said is in the record. The operations of samples of different
    lengths are not known.
    """
    spec = run.parsed_scenario.spec
    choice = spec.workload
    if catalog.is_foreign(choice.model):
        said = run.workload_facts or WorkloadFacts()
        parameters, flops = said.parameter_count, said.flops_per_sample
    else:
        workload = catalog.load_workload(choice.model)
        params = workload.parse(choice.params)
        parameters = workload.parameter_count(params)
        flops = workload.flops_per_sample(params) if spec.data.lengths is None else None
    if parameters is None:
        return None
    return ModelFacts(parameters=parameters, flops_per_sample=flops, flops_source=FORMULA if flops else None)


def counted(found: Iterable[ModelFacts | None]) -> ModelFacts | None:
    """Return one count for all cells of a run, which train the same model; None where no launch has counted."""
    facts = [one for one in dict.fromkeys(found) if one is not None]
    known = [one for one in facts if one.flops_source is not None]
    known.sort(key=lambda one: not (one.flops_source or "").startswith(_PREFERRED))
    return next(iter(known + facts), None)
