"""Transform samples one by one with SciPy, as an input pipeline does in each step.

A transform always computes the same samples, whatever the engine, the layout and the number of processes. It keeps a
sample's shape and type, computes in float32, and leaves labels alone. SciPy's modules are imported where a transform is
asked for, since they take a launch a part of a second.
"""

import importlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.terms import Transform
from stepmark.workloads._batches import Batch

Sample = NDArray[Any]
_DEGREES, _ZOOM = 15.0, 0.9
_WINDOW = 16  # The values of one window of the spectrogram. Neighbouring windows share a half.


def transform_of(transform: Transform, channels_last: bool = False) -> Callable[[Sample], Sample] | None:
    """Return the function that transforms one sample, or None for `none`.

    Images are (channels, height, width), or (height, width, channels) where `channels_last` is set.
    """
    if transform == "none":
        return None
    importlib.import_module("scipy.ndimage" if transform == "affine" else "scipy.signal")  # before workers are forked
    return partial(_affine, channels_last=channels_last) if transform == "affine" else _spectrogram


def transformed(transform: Transform, batch: Batch) -> Batch:
    """Return a batch with each of its samples transformed. Images have their channels first."""
    one, (inputs, labels) = transform_of(transform), batch
    return batch if one is None else (np.stack([one(sample) for sample in inputs]), labels)


def _affine(image: Sample, channels_last: bool) -> Sample:
    """Return the image turned and scaled about its centre, with linear interpolation."""
    from scipy import ndimage

    turned = np.empty_like(image)
    planes, targets = (np.moveaxis(one, -1, 0) if channels_last else one for one in (image, turned))
    angle = math.radians(_DEGREES)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / _ZOOM
    centre = (np.array(planes.shape[1:]) - 1) / 2
    for plane, target in zip(planes, targets, strict=True):
        found = ndimage.affine_transform(
            plane.astype(np.float32), matrix, centre - matrix @ centre, output=np.float32, order=1, mode="nearest"
        )
        target[...] = found
    return turned


def _spectrogram(signal: Sample) -> Sample:
    """Return the first values of log(1 + power spectral density), as many as the signal has."""
    from scipy.signal import spectrogram

    padded = np.concatenate([signal.reshape(-1).astype(np.float32), np.zeros(_WINDOW, np.float32)])
    _, _, power = spectrogram(padded, nperseg=_WINDOW, noverlap=_WINDOW // 2)
    return np.log1p(power).reshape(-1)[: signal.size].reshape(signal.shape).astype(signal.dtype)
