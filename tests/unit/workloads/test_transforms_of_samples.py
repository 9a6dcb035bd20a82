"""A transform changes the values of a sample, never its shape or type, and is the same in both layouts of images."""

import numpy as np
import pytest

from stepmark.workloads._transforms import transform_of, transformed

RANDOM = np.random.default_rng(7)


def test_an_image_is_transformed_alike_in_both_layouts() -> None:
    image = RANDOM.standard_normal((3, 9, 12)).astype(np.float32)
    first, last = transform_of("affine"), transform_of("affine", channels_last=True)
    assert first is not None
    assert last is not None
    found = first(image)
    assert (found.shape, found.dtype) == (image.shape, image.dtype)
    assert not np.allclose(found, image)
    assert np.array_equal(last(np.ascontiguousarray(image.transpose(1, 2, 0))).transpose(2, 0, 1), found)


def test_an_image_is_turned_about_its_centre() -> None:
    image = np.zeros((1, 33, 33), np.float32)
    image[0, 16, 16] = 1.0
    affine = transform_of("affine")
    assert affine is not None
    assert np.unravel_index(affine(image)[0].argmax(), (33, 33)) == (16, 16)


@pytest.mark.parametrize("shape", [(1,), (7,), (16,), (784,), (5, 30)])
def test_a_vector_becomes_a_spectrogram_of_its_own_shape(shape: tuple[int, ...]) -> None:
    signal = RANDOM.standard_normal(shape).astype(np.float32)
    spectrogram = transform_of("spectrogram")
    assert spectrogram is not None
    found = spectrogram(signal)
    assert (found.shape, found.dtype) == (shape, np.float32)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert shape == (1,) or not np.allclose(found, signal)


def test_a_transform_in_float64_is_that_of_float32() -> None:
    signal = RANDOM.standard_normal(64).astype(np.float32)
    spectrogram = transform_of("spectrogram")
    assert spectrogram is not None
    exact = spectrogram(signal.astype(np.float64))
    assert exact.dtype == np.float64
    assert np.array_equal(exact.astype(np.float32), spectrogram(signal))


def test_labels_stay_and_none_changes_nothing() -> None:
    batch = RANDOM.standard_normal((4, 32)).astype(np.float32), np.arange(4)
    assert transformed("none", batch) is batch
    inputs, labels = transformed("spectrogram", batch)
    assert labels is batch[1]
    assert inputs.shape == batch[0].shape
