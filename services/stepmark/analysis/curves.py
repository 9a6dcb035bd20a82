"""Provide the scaling models behind a forecast: each continues a measured curve to larger worker counts.

Every model takes the same quantities, and returns the logarithm of its prediction, of shape (targets,). `workers` and
`seconds` are the measured worker counts and step times, of shape (points,), with workers increasing. `per_node` is the
number of workers that share a node, and `targets` are worker counts. Models are anchored: they pass through the largest
measured point, since what a curve does next depends on where it is. Costs of collectives follow NVIDIA/nccl-tests
doc/PERFORMANCE.md. DistSim (CF'23) found that a model calibrated on two nodes gets most of the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """Store the constants of the models: strengths of the priors that measured points have to overcome.

    `ridge` is the strength of the prior of the topology basis. `topology_share` is the weight of that model once the
    node boundary was crossed; before, it is a third in weak scaling and 0 in strong scaling. `inside_weight` is the
    weight of points inside a node when growth across nodes is fitted. `power_prior` and `log_prior` are weights of the
    prior slopes. `fixed` is the share of a step that more workers do not shorten, in strong scaling. The errors of
    benchmarks/forecast_backtest.py hardly depend on any of them. Its curves slightly prefer a ridge of 0.15; 0.05
    follows the points more closely where a network is slow, which those curves, all from fast fabrics, cannot show.
    """

    ridge: float = 0.05
    topology_share: float = 0.5
    inside_weight: float = 0.3
    power_prior: float = 1.0
    log_prior: float = 2.0
    fixed: float = 0.1


# Priors, relative to the step time at the largest measured point: ring share inside a node, exposed ring time between
# nodes, and tree latency with the growth of stragglers; then the throughput's exponent and the growth per doubling.
_RING_INSIDE, _RING_BETWEEN, _TREE = 0.02, 0.05, 0.01
_EXPONENT, _GROWTH_PER_DOUBLING = 0.97, 0.01
# In strong scaling the constant part of a step is the signal, not a correction: its priors are weak.
_RIDGE_STRONG, _AMDAHL_PRIOR = 0.005, 0.05


def weak(
    workers: Array, seconds: Array, per_node: int, targets: Array, settings: Settings | None = None
) -> tuple[Array, Array]:
    """Return log step seconds at constant batch per worker, of shape (models, targets), and the models' weights."""
    settings = settings or Settings()
    crossed = workers[-1] > per_node
    share = settings.topology_share if crossed else 1 / 3
    logs = np.stack(
        [
            _topology(workers, seconds, per_node, targets, settings.ridge),
            _power(workers, seconds, per_node, targets, settings),
            _logarithmic(workers, seconds, per_node, targets, settings),
        ]
    )
    return logs, np.array([share, (1 - share) / 2, (1 - share) / 2])


def strong(
    workers: Array, seconds: Array, per_node: int, targets: Array, settings: Settings | None = None
) -> tuple[Array, Array]:
    """Return log step seconds at constant global batch, of shape (models, targets), and the models' weights.

    The batch per worker shrinks as 1/n, and much of a step does not. A device's time is linear in its batch with a
    constant part (Yu et al., Skyline, UIST'20). At b = B / n that is Amdahl's law, t = fixed + work / n, in which
    exposed communication is a part of the fixed one. So every device loses efficiency as its batch shrinks, also where
    nothing is communicated. The topology model is used once the points have crossed between nodes: before, its terms
    cannot be told from the fixed part. A power law is not used, since its exponent falls with every doubling.
    """
    settings = settings or Settings()
    share = settings.topology_share if workers[-1] > per_node else 0.0
    scale = workers[-1] / workers

    def columns(n: Array) -> Array:
        return np.column_stack([workers[-1] / n, _basis(n, per_node)])

    priors = np.array([settings.fixed, _RING_INSIDE, _RING_BETWEEN, _TREE])
    topology = _anchored(columns, workers, seconds, targets, priors, _RIDGE_STRONG)
    weight = seconds[-1] / seconds
    x, y = (1 - scale) * weight, (seconds / seconds[-1] - scale) * weight
    fixed = np.clip((x @ y + _AMDAHL_PRIOR * settings.fixed) / (x @ x + _AMDAHL_PRIOR), 0, 1)
    amdahl = np.log(seconds[-1] * ((1 - fixed) * workers[-1] / targets + fixed))
    return np.stack([topology, amdahl]), np.array([share, 1 - share])


def _basis(workers: Array, per_node: int) -> Array:
    """Return columns 1, (i-1)/i, 2(N-1)/N, log2 N with i workers inside a node and N nodes, of shape (points, 4).

    A ring all-reduce moves 2(n-1)/n of its bytes; a tree has log2 n levels.
    """
    inside, nodes = np.minimum(workers, per_node), np.maximum(workers / per_node, 1)
    return np.column_stack([np.ones_like(workers), (inside - 1) / inside, 2 * (nodes - 1) / nodes, np.log2(nodes)])


def _topology(workers: Array, seconds: Array, per_node: int, targets: Array, ridge: float) -> Array:
    priors = np.array([_RING_INSIDE, _RING_BETWEEN, _TREE])
    return _anchored(lambda n: _basis(n, per_node), workers, seconds, targets, priors, ridge)


def _anchored(
    columns: Callable[[Array], Array], workers: Array, seconds: Array, targets: Array, priors: Array, ridge: float
) -> Array:
    """Fit relative errors by non-negative least squares, with a ridge towards positive priors.

    The first column has no prior. A prior decides only where the points say nothing about its column, such as a node
    boundary that was never crossed.
    """
    relative = seconds / seconds[-1]
    penalty = np.column_stack([np.zeros(len(priors)), np.diag(ridge / priors)])
    matrix = np.vstack([columns(workers) / relative[:, None], penalty])
    found, _ = scipy.optimize.nnls(matrix, np.concatenate([np.ones(len(workers)), np.full(len(priors), ridge)]))
    return np.log(seconds[-1] * (columns(targets) @ found) / (columns(workers[-1:]) @ found))


def _weights(workers: Array, per_node: int, inside_weight: float) -> Array:
    """Return the points' weights.

    Once two points span whole nodes, points inside a node say less about what comes next.
    """
    outside = workers >= per_node
    if workers[-1] <= per_node or outside.sum() < 2:
        return np.ones_like(workers)
    return np.where(outside, 1.0, inside_weight)


def _power(workers: Array, seconds: Array, per_node: int, targets: Array, settings: Settings) -> Array:
    """Fit throughput ~ n^s through the last point, with s shrunk to 0.97 and at most 1."""
    weights = _weights(workers, per_node, settings.inside_weight)
    x, y = np.log(workers / workers[-1]), np.log(workers / seconds * seconds[-1] / workers[-1])
    prior = settings.power_prior
    exponent = min(((weights * x) @ y + prior * _EXPONENT) / ((weights * x) @ x + prior), 1.0)
    return np.log(seconds[-1]) + (1 - exponent) * np.log(targets / workers[-1])


def _logarithmic(workers: Array, seconds: Array, per_node: int, targets: Array, settings: Settings) -> Array:
    """Fit step time a + b log2 n through the last point, with b shrunk to 1 % per doubling and never negative."""
    weights = _weights(workers, per_node, settings.inside_weight)
    x, y = np.log2(workers / workers[-1]), seconds / seconds[-1] - 1
    prior = settings.log_prior
    growth = max(((weights * x) @ y + prior * _GROWTH_PER_DOUBLING) / ((weights * x) @ x + prior), 0.0)
    return np.log(seconds[-1] * (1 + growth * np.log2(targets / workers[-1])))
