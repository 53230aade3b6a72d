"""Metrics of generated examples on features, computed on the host in float64."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def frechet(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Computes the Fréchet distance of Gaussians that are fitted to two sets of features.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is computed from the
    singular values of C_a^(1/2) C_b^(1/2), with symmetric roots, so that no complex number occurs.

    Args:
        a, b: features [n, d] and [m, d].

    Returns:
        The squared distance (FID, where the features are those of an Inception network), at least
        0 up to rounding.

    Raises:
        ValueError: different d, or fewer than two rows.

    Source: Heusel et al. 2017, eq. 6.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features must be [n, d] with n > 1 and one d, not {a.shape} and {b.shape}"
        )
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = np.linalg.svd(_root(ca) @ _root(cb), compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root)


def _root(c: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def neighbours(
    reference: Float[np.ndarray, "m d"], others: Float[np.ndarray, "n d"], k: int = 3
) -> float:
    """Computes the fraction of `others` that lie near a point of `reference`.

    A point is near if its Euclidean distance to some reference point r is at most the distance from
    r to the k-th nearest of the other reference points. With real features as `reference` and
    generated ones as `others` this is precision; with the two exchanged it is recall.

    Args:
        reference: features [m, d].
        others: features [n, d].
        k: which neighbour, from 1 to m - 1.

    Returns:
        The fraction, in [0, 1]; distances are float64.

    Raises:
        ValueError: k < 1 or k >= m.

    Source: Kynkaanniemi et al. 2019, eq. 1 and 2.
    """
    reference, others = np.asarray(reference, np.float64), np.asarray(others, np.float64)
    if not 1 <= k < len(reference):
        raise ValueError(f"{len(reference)} points have no neighbour number {k}")
    # number 0 is the point itself
    radius = np.partition(_squares(reference, reference), k, axis=1)[:, k]
    return float((_squares(others, reference) <= radius).any(1).mean())


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
