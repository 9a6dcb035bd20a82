"""Judge whether the timed launches trained as the reference does, from the proofs in their records.

`timed_proof` combines what the ranks of one launch say.
"""

from dataclasses import dataclass

from stepmark.results.certificate import Figures, Limits, Proof
from stepmark.results.record import LaunchHeader, RankReport

_SINCE_SCHEMA = 4


@dataclass(frozen=True)
class TimedProof:
    """Store the proof of one launch.

    `problem` says what is off or missing, or is empty. `agree` says whether all ranks had the same weights; None with
    fewer than two proofs. `note` says that the loss of the timed run itself went wrong, which does not fail the proof.
    """

    block: int
    problem: str
    agree: bool | None
    figures: Figures | None = None
    limits: Limits | None = None
    note: str = ""


def timed_proof(header: LaunchHeader) -> TimedProof | None:
    """Return the proof of a launch; None for records of older schemas, whose launches were not proven."""
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
    """Return where the ranks' weights differ, in words; empty if they agree.

    The ranks exchange their gradients in every step and began alike, so their weights should be the same.
    """
    if len({proof.window_digest for proof in proofs}) > 1:
        return "the ranks' weights differ at the end of the timed window: gradients are not exchanged in every step"
    if len({proof.end_digest for proof in proofs}) > 1:
        return "the ranks' weights differ at the end of the proof, though they agreed when it began"
    return ""


def _diverged(ranks: tuple[RankReport, ...]) -> str:
    """Return that some rank's loss is no number, or more than doubled, at the window's end; empty otherwise."""
    for rank in ranks:
        first, last = rank.first_loss, rank.last_loss
        if last is None or (first is not None and last > 2 * first):
            was, is_now = ("no finite number" if loss is None else f"{loss:.3g}" for loss in (first, last))
            return f"the loss went from {was} to {is_now} in the timed run"
    return ""
