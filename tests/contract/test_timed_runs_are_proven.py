"""Mistakes that begin after the check before timing, or exist in the timed path only: each must cost the verdict.

Two processes train all of them on two ranks; the tests look at their proofs.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import planted_timed
import pytest

from conftest import needs
from stepmark.analysis.proofs import TimedProof, timed_proof
from stepmark.orchestrate.folders import leased_ports
from stepmark.results.certificate import Proof
from stepmark.results.record import LaunchHeader, RankReport

APART = "ranks' weights differ at the end of the timed window"
NAMED = {
    "local-sgd-from-8": APART,
    "local-sgd-every-10": APART,
    "skipped-backward": "update off by",
    "samples-left-out": "gradient off by",
    "timed-shards-are-all-the-first": "gradient off by",
}


def train(folder: Path) -> None:
    """Train every plant on both ranks, one after another, and write the proofs into `folder`."""
    with leased_ports(2) as ports:
        script, tail = Path(planted_timed.__file__), list(map(str, ports))
        with ThreadPoolExecutor(planted_timed.RANKS) as pool:
            ranks = range(planted_timed.RANKS)
            for ended in pool.map(lambda rank: forked.run("torch", script, str(folder), str(rank), *tail), ranks):
                assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("torch")
    folder = tmp_path_factory.mktemp("proofs")
    train(folder)
    return folder


def found(proofs: Path, name: str) -> TimedProof:
    """Return the proof of a launch whose ranks made these proofs."""
    ranks = [Proof.model_validate_json((proofs / f"{name}.{r}.json").read_bytes()) for r in range(planted_timed.RANKS)]
    reports = tuple(RankReport.model_construct(proof=proof, first_loss=2.0, last_loss=1.0) for proof in ranks)  # type: ignore[call-arg]
    proof = timed_proof(LaunchHeader.model_construct(schema_version=4, block=0, ranks=reports))  # type: ignore[call-arg]
    assert proof is not None
    return proof


@pytest.mark.parametrize("name", ["honest", "adamw-honest"])
def test_a_launch_without_a_mistake_is_proven(proofs: Path, name: str) -> None:
    proof = found(proofs, name)
    assert (proof.problem, proof.agree) == ("", True)
    assert proof.figures is not None
    assert proof.figures.worst < 1e-6


def test_a_launch_whose_adamw_does_not_start_again_is_not_proven(proofs: Path) -> None:
    assert "gradient off by" in found(proofs, "adamw-memory-kept").problem


@pytest.mark.parametrize("name", NAMED)
def test_a_mistake_of_the_timed_run_is_caught_and_named(proofs: Path, name: str) -> None:
    assert (proofs / f"{name}.txt").read_text() == "", "the check before timing finds this mistake already"
    assert NAMED[name] in found(proofs, name).problem
