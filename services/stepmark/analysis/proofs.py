"""Whether the launches that were timed trained as the reference does, from the proofs in their records.

What one launch's ranks say is `timed_proof`.
"""

from dataclasses import dataclass

from stepmark.results.certificate import Figures, Limits, Proof
from stepmark.results.record import LaunchHeader

_SINCE_SCHEMA = 4


@dataclass(frozen=True)
class TimedProof:
    """One launch's. `problem`: what is off or missing, or empty. `agree`: whether all ranks had the same weights."""

    block: int
    problem: str
    agree: bool | None
    figures: Figures | None = None
    limits: Limits | None = None


def timed_proof(header: LaunchHeader) -> TimedProof | None:
    """None for records of a time when launches were not proven."""
    if header.schema_version < _SINCE_SCHEMA:
        return None
    proofs = [rank.proof for rank in header.ranks if rank.proof is not None]
    if len(proofs) < len(header.ranks):
        return TimedProof(header.block, "it ended before its proof", None)
    apart = _apart(proofs)
    found = [proof.missing or proof.problem for proof in proofs]
    problem = "; ".join(dict.fromkeys(part for part in (apart, *found) if part))
    first = proofs[0]
    return TimedProof(header.block, problem, not apart if len(proofs) > 1 else None, first.figures, first.limits)


def _apart(proofs: list[Proof]) -> str:
    """Where the ranks' weights differ, which exchange their gradients in every step and began alike."""
    if len({proof.window_digest for proof in proofs}) > 1:
        return "the ranks' weights differ at the end of the timed window: gradients are not exchanged in every step"
    if len({proof.end_digest for proof in proofs}) > 1:
        return "the ranks' weights differ after the same steps on from the window's end"
    return ""
