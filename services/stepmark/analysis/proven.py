"""Add to certificates what was proven of the timed launches: a cell that fails there is not comparable."""

from collections.abc import Mapping, Sequence

from stepmark.analysis.launch import Launch
from stepmark.analysis.proofs import TimedProof
from stepmark.results.certificate import Certificate, Stage


def proven(certificates: Mapping[str, Certificate], launches: Mapping[str, Sequence[Launch]]) -> dict[str, Certificate]:
    """Return the certificates by cell key, with the proof of the timed launches.

    `launches` are all launches of each cell; those without figures do not count.
    """
    return {
        key: _proven(certificate, [launch for launch in launches.get(key, ()) if launch.figures is not None])
        for key, certificate in certificates.items()
    }


def _proven(certificate: Certificate, counted: Sequence[Launch]) -> Certificate:
    proofs = [launch.proof for launch in counted if launch.proof is not None]
    if not proofs or not certificate.stages:
        return certificate
    worst = max(proofs, key=_order)
    stages = (*certificate.stages, *_stage(certificate, worst))
    note = next((proof.note for proof in proofs if proof.note), "")
    if not worst.problem:
        text = "; ".join(part for part in (certificate.text, note) if part)[:1200]
        return certificate.model_copy(update={"stages": stages, "text": text})
    bad = sum(1 for proof in proofs if proof.problem)
    text = f"not comparable: timed run: {bad} of {len(proofs)} launches, the first in block {worst.block}"
    if certificate.comparable:
        certificate = certificate.model_copy(
            update={"badge": "not comparable", "text": f"{text}: {worst.problem}"[:1200]}
        )
    return certificate.model_copy(update={"stages": stages})


def _order(proof: TimedProof) -> tuple[bool, int, float]:
    """Return a sort key whose largest value is the first proof that fails, or else the one that is furthest off."""
    return bool(proof.problem), -proof.block if proof.problem else 0, proof.figures.worst if proof.figures else 0.0


def _stage(certificate: Certificate, proof: TimedProof) -> tuple[Stage, ...]:
    """Return the stage of the timed run; empty where the launch has no figures to show."""
    if proof.figures is None or proof.limits is None:
        return ()
    timed = certificate.stages[-1]
    return (
        Stage(
            name="timed run",
            engine=timed.engine,
            reference_engine=timed.reference_engine,
            figures=proof.figures,
            limits=proof.limits,
            ranks_agree=proof.agree,
            problem=proof.problem[:1000],
        ),
    )
