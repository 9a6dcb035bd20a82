"""Turn the reports of a cell's check into its certificate."""

from collections.abc import Sequence

from stepmark.parity.judge import problem
from stepmark.plan.cells import Cell
from stepmark.plan.probes import StageName
from stepmark.results.certificate import TRANSPORT, Certificate, Limits, ProbeReport, Stage


def stage(
    name: StageName,
    cell: Cell,
    reference: Cell,
    reports: Sequence[ProbeReport],
    limits: Limits,
    tensors: tuple[str, ...],
) -> Stage:
    """Return the verdict of one check. `reports` are those of all ranks; the first holds the figures.

    ValueError is raised where it has none.
    """
    figures = reports[0].figures
    if figures is None:
        raise ValueError(f"the parity check of {cell.key} returned no figures")
    found = problem(figures, limits, tensors, cell.workers > 1)
    agree = len({report.end_digest for report in reports}) == 1 if len(reports) > 1 else None
    if agree is False:
        found = "; ".join(part for part in ("the ranks end with different weights", found) if part)
    return Stage(
        name=name,
        engine=cell.engine,
        reference_engine=reference.engine,
        figures=figures,
        limits=limits,
        ranks_agree=agree,
        problem=found[:1000],
    )


def certificate(
    cell: Cell, reference: Cell, stages: Sequence[Stage], reports: Sequence[ProbeReport], samples: int
) -> Certificate:
    """Return the cell's certificate from its stages, of which the last is the cell as it is timed."""
    failed = next((s for s in stages if not s.passed), None)
    timed = stages[-1].figures
    if failed is not None:
        badge, text = "not comparable", f"not comparable: {failed.name}: {failed.problem}"
    elif cell.precision in ("float32", "float64") and cell.execution != "compiled":
        badge, text = "certified", "certified"
    else:
        kinds = [k for k in (cell.precision, cell.execution) if k not in ("float32", "float64", "eager", "graph")]
        badge, text = "within limits", f"{', '.join(kinds)}: within {timed.worst:.1e}"
    return Certificate(
        cell=cell.key,
        reference=_words(reference),
        badge=badge,
        text=text[:1200],
        stages=tuple(stages),
        samples_per_worker=samples,
        weights_digest=reports[0].start_digest,
        batches_digest=reports[0].batches_digest,
        flags=reports[0].flags | _transports(reports),
    )


def _transports(reports: Sequence[ProbeReport]) -> dict[str, str]:
    """Return the flag `nccl_transport` with the ways of all ranks: a rank knows its own connections alone."""
    found = {way for report in reports for way in report.flags.get(TRANSPORT, "").split(", ") if way}
    return {TRANSPORT: ", ".join(sorted(found))} if found else {}


def not_checked(cell: Cell, reason: str) -> Certificate:
    """Return the certificate of a cell whose check could not be made, with the reason."""
    text = f"not comparable: {reason}"[:1200]
    return Certificate(cell=cell.key, reference="none", badge="not comparable", text=text)


def _words(reference: Cell) -> str:
    return f"{reference.engine} {reference.strategy} {reference.execution} {reference.precision}"
