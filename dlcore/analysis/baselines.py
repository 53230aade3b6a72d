"""What was done before networks, on the host: principal components, the median filter, the best
linear map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Filter = Callable[[np.ndarray], np.ndarray]


class Components(NamedTuple):
    """The mean [d] of the data and their first principal axes [k, d], orthonormal, of falling
    variance.
    """

    mean: np.ndarray
    axes: np.ndarray

    def first(self, k: int) -> Components:
        """The first k of them."""
        return Components(self.mean, self.axes[:k])

    def code(self, x: np.ndarray) -> np.ndarray:
        """[n, ...] -> [n, k]."""
        return (x.reshape(len(x), -1) - self.mean) @ self.axes.T

    def project(self, x: np.ndarray) -> np.ndarray:
        """[n, ...] -> the nearest points of the axes' plane, in the same shape."""
        return (self.code(x) @ self.axes + self.mean).reshape(x.shape)


def principal_components(x: np.ndarray, k: int) -> Components:
    """The first k principal components of x [n, ...] (Pearson 1901). Raises ValueError unless 1 <=
    k <= min(n, d).
    """
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    if not 1 <= k <= min(flat.shape):
        raise ValueError(f"{k} components of {flat.shape[0]} examples of {flat.shape[1]} numbers")
    mean = flat.mean(0)
    centred = flat - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return Components(mean, vectors[:, ::-1][:, :k].T)


def median_filter(size: int) -> Filter:
    """Images [n, height, width, c] with each pixel the median of the size x size pixels around it,
    edges mirrored.
    """
    from scipy import ndimage

    return lambda x: ndimage.median_filter(x, (1, size, size, 1), mode="reflect")


def linear_map(x: np.ndarray, y: np.ndarray) -> Filter:
    """The affine map of all of x [n, ...] to y that has the least squared error on these pairs
    (Wiener 1949, without its stationarity).
    """
    a, b = (np.asarray(z, np.float64).reshape(len(z), -1) for z in (x, y))
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    gram = a.T @ a
    gram[np.diag_indices_from(gram)] += (
        1e-6 * np.trace(gram) / len(gram)
    )  # pixels that never change have no equation of their own
    weights = np.linalg.solve(gram, a.T @ b)
    return lambda z: ((z.reshape(len(z), -1) - mean_a) @ weights + mean_b).reshape(z.shape)


def best(
    filters: Mapping[str, Filter],
    x: np.ndarray,
    y: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], float],
) -> str:
    """The name of the filter whose outputs for x, cut to [0, 1], score highest against y."""
    return max(filters, key=lambda name: score(np.clip(filters[name](x), 0, 1), y))
