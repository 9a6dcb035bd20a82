"""Whether the launches that were timed trained as the reference does, from the proofs in their records.

What one launch's ranks say is `timed_proof`.
"""

from dataclasses import dataclass

from stepmark.results.certificate import Figures, Limits, Proof
from stepmark.results.record import LaunchHeader, RankReport

_SINCE_SCHEMA = 4


@dataclass(frozen=True)
class TimedProof:
    """One launch's. `problem`: what is off or missing, or empty. `agree`: whether all ranks had the same weights.

    `note`: that the loss of the timed run itself went wrong, which costs no proof.
    """

    block: int
    problem: str
    agree: bool | None
    figures: Figures | None = None
    limits: Limits | None = None
    note: str = ""


def timed_proof(header: LaunchHeader) -> TimedProof | None:
    """None for records of a time when launches were not proven."""
    if header.schema_version < _SINCE_SCHEMA:
        return None
    proofs = [rank.proof for rank in header.ranks if rank.proof is not None]
    apart = _apart(proofs)
    found = [apart, *(proof.missing or proof.problem for proof in proofs)]
    if len(proofs) < len(header.ranks):
        found.append("a rank ended before its proof")
    problem = "; ".join(dict.fromkeys(part for part in found if part))
    first = next((proof for proof in proofs if proof.figures is not None), Proof())
    agree = not apart if len(proofs) > 1 else None
    return TimedProof(header.block, problem, agree, first.figures, first.limits, _diverged(header.ranks))


def _apart(proofs: list[Proof]) -> str:
    """Where the ranks' weights differ, which exchange their gradients in every step and began alike."""
    if len({proof.window_digest for proof in proofs}) > 1:
        return "the ranks' weights differ at the end of the timed window: gradients are not exchanged in every step"
    if len({proof.end_digest for proof in proofs}) > 1:
        return "the ranks' weights differ after the same steps on from the window's end"
    return ""


def _diverged(ranks: tuple[RankReport, ...]) -> str:
    """Whether some rank's loss is no number, or more than doubled, at the window's end."""
    for rank in ranks:
        first, last = rank.first_loss, rank.last_loss
        if last is None or (first is not None and last > 2 * first):
            was, is_now = ("no finite number" if loss is None else f"{loss:.3g}" for loss in (first, last))
            return f"the loss went from {was} to {is_now} in the timed run"
    return ""
