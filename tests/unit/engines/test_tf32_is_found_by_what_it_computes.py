"""The probe of TF32 tells rounded factors from float32, in products and in convolutions, each by itself."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from stepmark.engines._tf32_probe import tf32_probe


def tf32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to 10 bits of mantissa, to nearest."""
    bits = values.view(np.uint32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~np.uint32(0x1FFF)).view(np.float32)


def same(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


def convolution(images: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    padded, size = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))), images.shape[1]
    places = [(row, column) for row in range(3) for column in range(3)]
    return np.sum([padded[:, r : r + size, c : c + size] @ kernel[r, c] for r, c in places], axis=0)


@pytest.mark.parametrize("multiplied", [same, tf32])
@pytest.mark.parametrize("convolved", [same, tf32])
def test_each_is_seen_by_itself(multiplied: object, convolved: object) -> None:
    text = tf32_probe(
        lambda a, b: multiplied(a) @ multiplied(b),  # type: ignore[operator]
        lambda a, b: convolution(convolved(a), convolved(b)),  # type: ignore[operator]
    )
    product, convolving = map(float, re.findall(r"[\d.e-]+\d", text))
    for error, kind in ((product, multiplied), (convolving, convolved)):
        assert 1e-4 < error < 1e-3 if kind is tf32 else error < 1e-5, text
