"""A rank draws only its own samples, and they are those that the reference draws for it."""

import numpy as np
import pytest

from conftest import needs
from stepmark.workloads import _batches
from stepmark.workloads._protocol import InputSpec

SPECS = {
    "vector": InputSpec("vector", (64,), 10),
    "image": InputSpec("image", (1, 16, 16), 10),
    "tokens": InputSpec("tokens", (64,), 17, 17),
    "next token": InputSpec("tokens", (63,), 17, 17, next_token=True),
}


@pytest.mark.parametrize("source", ["synthetic", "host", "digits"])
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize(("size", "ranks"), [(12, 1), (12, 3), (13, 4), (2000, 5)])
def test_every_rank_has_its_shard_of_the_global_batch(source: str, kind: str, size: int, ranks: int) -> None:
    if source == "digits":
        needs("sklearn")
    whole = _batches.global_batches(SPECS[kind], source, 7, size, 3)
    for rank in range(ranks):
        own = _batches.local_batches(SPECS[kind], source, 7, size, 3, rank, ranks)
        for batch, one in zip(whole, own, strict=True):
            for expected, found in zip(_batches.shard(batch, rank, ranks), one, strict=True):
                assert found.dtype == expected.dtype
                assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", SPECS)
def test_samples_differ_between_places_batches_and_seeds(kind: str) -> None:
    drawn = [_batches.global_batches(SPECS[kind], "synthetic", seed, 50, 2) for seed in (7, 8)]
    samples = {inputs.tobytes() for batches in drawn for batch, _ in batches for inputs in batch}
    assert len(samples) == 2 * 2 * 50


def test_synthetic_inputs_are_normal_and_labels_are_even() -> None:
    inputs, labels = _batches.global_batches(SPECS["vector"], "synthetic", 7, 4000, 1)[0]
    assert abs(inputs.mean()) < 0.01
    assert inputs.std() == pytest.approx(1, abs=0.01)
    assert np.bincount(labels, minlength=10).min() > 300
    assert abs(np.corrcoef(inputs[:-1].ravel(), inputs[1:].ravel())[0, 1]) < 0.01  # neighbouring samples


def test_the_samples_of_a_seed_stay_what_they_are() -> None:
    """A record's certificate names them by a digest, so that runs years apart can be compared."""
    inputs, labels = _batches.global_batches(SPECS["vector"], "synthetic", 7, 2, 1)[0]
    assert labels.tolist() == [2, 4]
    assert inputs[1, :3].tolist() == pytest.approx([-0.009230239, 0.7576206, 0.8090519], rel=1e-6)


def test_the_samples_of_a_launch_fit_into_a_gibibyte() -> None:
    image = InputSpec("image", (3, 224, 224), 1000)
    found = {size: _batches.distinct(image, size) for size in (1, 256, 512, 600, 1024, 2048, 100_000)}
    assert found == {1: 4, 256: 4, 512: 3, 600: 2, 1024: 1, 2048: 1, 100_000: 1}
    assert _batches.distinct(InputSpec("tokens", (1024,), 50304, 50304, next_token=True), 256) == 4
