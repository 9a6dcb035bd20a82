"""A certificate holds only if every launch that counts was proven after its windows."""

import pytest

from stepmark.analysis.launch import Launch
from stepmark.analysis.proofs import TimedProof, timed_proof
from stepmark.analysis.proven import proven
from stepmark.results.certificate import Certificate, Figures, Limits, Proof, Stage
from stepmark.results.record import LaunchHeader, RankReport

FIGURES = Figures(
    forward=None, loss=0, gradient=1e-7, gradient_scale=1, gradient_rest=0, tensors=(), weights=0, update=0, steps=5
)
LIMITS = Limits(forward=1e-5, loss=1e-5, gradient=1e-5, scale=1e-5, tensor=3e-5, weights=1e-6)
STAGE = Stage(
    name="as timed", engine="a", reference_engine="b", figures=FIGURES, limits=LIMITS, ranks_agree=True, problem=""
)
CERTIFICATE = Certificate(cell="c", reference="r", badge="certified", text="certified", stages=(STAGE,))
GOOD = Proof(window_digest="a" * 64, end_digest="b" * 64)
FIRST = GOOD.model_copy(update={"figures": FIGURES, "limits": LIMITS})


def of_ranks(*proofs: Proof | None, schema: int = 4) -> TimedProof | None:
    reports = tuple(RankReport.model_construct(proof=proof, first_loss=2.0, last_loss=1.0) for proof in proofs)  # type: ignore[call-arg]
    return timed_proof(LaunchHeader.model_construct(schema_version=schema, block=0, ranks=reports))  # type: ignore[arg-type, call-arg]


def problem(*proofs: Proof | None) -> str:
    found = of_ranks(*proofs)
    assert found is not None
    return found.problem


def test_ranks_that_agree_and_pass_prove_a_launch() -> None:
    assert of_ranks(FIRST, GOOD) == TimedProof(0, "", True, FIGURES, LIMITS)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (GOOD.model_copy(update={"window_digest": "c" * 64}), "differ at the end of the timed window"),
        (
            GOOD.model_copy(update={"end_digest": "c" * 64}),
            "differ at the end of the proof, though they agreed when it began",
        ),
        (
            GOOD.model_copy(update={"problem": "the step was compiled again after the windows"}),
            "the step was compiled again after the windows",
        ),
        (Proof(missing="the proof failed: OSError"), "the proof failed: OSError"),
        (None, "a rank ended before its proof"),
    ],
)
def test_a_proof_that_is_missing_or_off_on_any_rank_is_named(second: Proof | None, words: str) -> None:
    assert words in problem(FIRST, second)


@pytest.mark.parametrize(("last", "words"), [(None, "from 2 to no finite number"), (4.5, "from 2 to 4.5")])
def test_a_loss_that_went_wrong_in_the_timed_run_is_noted_and_does_not_fail_the_proof(
    last: float | None, words: str
) -> None:
    report = RankReport.model_construct(proof=FIRST, first_loss=2.0, last_loss=last)  # type: ignore[call-arg]
    found = timed_proof(LaunchHeader.model_construct(schema_version=4, block=0, ranks=(report,)))  # type: ignore[call-arg]
    assert found is not None
    assert (found.problem, words in found.note) == ("", True)
    assert judged(found).comparable
    assert words in judged(found).text


def test_records_of_older_versions_have_no_proof_and_keep_their_certificate() -> None:
    assert of_ranks(None, schema=3) is None
    assert judged(None) == CERTIFICATE


def judged(*proofs: TimedProof | None, counted: bool = True) -> Certificate:
    launches = [
        Launch("c", block, None if counted else "failed", figures=object() if counted else None, proof=proof)  # type: ignore[arg-type]
        for block, proof in enumerate(proofs)
    ]
    return proven({"c": CERTIFICATE}, {"c": launches})["c"]


def test_a_proven_cell_shows_the_launch_that_is_furthest_off() -> None:
    further = FIGURES.model_copy(update={"gradient": 5e-6})
    found = judged(*(TimedProof(b, "", True, f, LIMITS) for b, f in enumerate((FIGURES, further, FIGURES))))
    assert found.badge == "certified"
    assert (found.stages[-1].name, found.stages[-1].figures) == ("timed run", further)


def test_one_launch_that_is_off_costs_the_certificate_and_is_named() -> None:
    found = judged(TimedProof(0, "", True, FIGURES, LIMITS), TimedProof(1, "update off by 1", True, FIGURES, LIMITS))
    assert not found.comparable
    assert found.text == "not comparable: timed run: 1 of 2 launches, the first in block 1: update off by 1"
    assert found.stages[-1].problem == "update off by 1"


def test_a_launch_without_figures_does_not_count() -> None:
    assert judged(TimedProof(0, "it ended before its proof", None), counted=False) == CERTIFICATE


def test_a_launch_without_a_proof_costs_the_certificate() -> None:
    assert judged(TimedProof(0, "it ended before its proof", None)).badge == "not comparable"
