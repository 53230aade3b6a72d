"""Classical baselines on the host: principal components, the median filter, linear regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Filter = Callable[[np.ndarray], np.ndarray]  # [n, ...] -> the same shape


class Components(NamedTuple):
    """Principal components of data.

    Attributes:
        mean: of the data, [d].
        axes: orthonormal, in descending order of variance, [k, d].
    """

    mean: np.ndarray
    axes: np.ndarray

    def first(self, k: int) -> Components:
        """Returns the first k components."""
        return Components(self.mean, self.axes[:k])

    def code(self, x: np.ndarray) -> np.ndarray:
        """Returns the coordinates along the axes of x [n, ...] minus the mean, [n, k]."""
        return (x.reshape(len(x), -1) - self.mean) @ self.axes.T

    def project(self, x: np.ndarray) -> np.ndarray:
        """Returns the points of mean + span(axes) nearest to x [n, ...], in the shape of x."""
        return (self.code(x) @ self.axes + self.mean).reshape(x.shape)


def principal_components(x: np.ndarray, k: int) -> Components:
    """Computes principal components (Pearson 1901).

    Args:
        x: data [n, ...], flattened to [n, d].
        k: number of components.

    Returns:
        The mean and the k axes of largest variance: eigenvectors of the covariance, float64.

    Raises:
        ValueError: k is not in 1..min(n, d).
    """
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    if not 1 <= k <= min(flat.shape):
        raise ValueError(f"{k} components of {flat.shape[0]} examples of {flat.shape[1]} numbers")
    mean = flat.mean(0)
    centred = flat - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return Components(mean, vectors[:, ::-1][:, :k].T)


def median_filter(size: int) -> Filter:
    """Returns a function that filters images by their median, each channel by itself.

    Args:
        size: side of the square window in pixels. Beyond the edges, pixels are mirrored, the
            outermost one included.

    Returns:
        A function: images [n, height, width, c] -> the filtered ones, of the same shape and dtype.
    """
    from scipy import ndimage

    return lambda x: ndimage.median_filter(x, (1, size, size, 1), mode="reflect")


def linear_map(x: np.ndarray, y: np.ndarray) -> Filter:
    """Fits the affine map of x to y with the least squared error, slightly regularised.

    With centred inputs A and targets B [n, d] the weights are (A'A + e I)^-1 A'B, e = 1e-6 times
    the mean of the diagonal of A'A. It is a Wiener filter without the assumption of stationarity
    (Wiener 1949).

    Args:
        x: inputs [n, ...].
        y: targets [n, ...], of the shape of x.

    Returns:
        A function: arrays [m, ...], whose examples have the shape of those of x -> the mapped
        arrays, of the same shape, float64.
    """
    a, b = (np.asarray(z, np.float64).reshape(len(z), -1) for z in (x, y))
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    gram = a.T @ a
    gram[np.diag_indices_from(gram)] += (
        1e-6 * np.trace(gram) / len(gram)
    )  # pixels that never change would make the matrix singular
    weights = np.linalg.solve(gram, a.T @ b)
    return lambda z: ((z.reshape(len(z), -1) - mean_a) @ weights + mean_b).reshape(z.shape)


def best(
    filters: Mapping[str, Filter],
    x: np.ndarray,
    y: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], float],
) -> str:
    """Returns the name of the filter whose outputs score highest, of equal ones the first.

    Args:
        filters: by name.
        x: inputs [n, ...].
        y: targets of the same shape, in [0, 1].
        score: (outputs clipped to [0, 1], y) -> a number.
    """
    return max(filters, key=lambda name: score(np.clip(filters[name](x), 0, 1), y))
