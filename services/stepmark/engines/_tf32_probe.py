"""Find out whether a device rounds float32 to TF32, by what it computes and not by what its settings say."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Product = Callable[[Floats, Floats], NDArray[Any]]

SIDE = 512
_IMAGES, _PIXELS, _CHANNELS = 4, 16, 64


def tf32_probe(product: Product, convolution: Product) -> str:
    """Return the errors of a product and of a convolution against float64, as "product 3.0e-04, convolution 3.0e-04".

    TF32 keeps 10 bits of each factor, so its errors are near 3e-4; those of float32 are below 1e-5. `product`
    multiplies two matrices (512, 512). `convolution` is given images (4, 16, 16, 64) and a kernel (3, 3, 64, 64), and
    moves the kernel by one pixel at a time within zeros around the images.
    """
    rng = np.random.default_rng(0)

    def normals(*shape: int) -> Floats:
        return rng.standard_normal(shape, dtype=np.float32)

    left, right = normals(SIDE, SIDE), normals(SIDE, SIDE)
    images, kernel = normals(_IMAGES, _PIXELS, _PIXELS, _CHANNELS), normals(3, 3, _CHANNELS, _CHANNELS)
    multiplied = _error(product(left, right), left.astype(np.float64) @ right.astype(np.float64))
    convolved = _error(convolution(images, kernel), _convolved(images, kernel))
    return f"product {multiplied:.1e}, convolution {convolved:.1e}"


def _error(found: NDArray[Any], exact: NDArray[np.float64]) -> float:
    """Return the norm of the difference over the norm of what is exact."""
    return float(np.linalg.norm(np.asarray(found, dtype=np.float64) - exact) / np.linalg.norm(exact))


def _convolved(images: Floats, kernel: Floats) -> NDArray[np.float64]:
    """Return the convolution in float64: the sum over the kernel's nine places of a product of matrices."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        padded[:, row : row + _PIXELS, column : column + _PIXELS] @ kernel[row, column].astype(np.float64)
        for row in range(3)
        for column in range(3)
    )
