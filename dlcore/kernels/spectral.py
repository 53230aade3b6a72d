"""The largest singular value of a matrix, without a state that would have to be kept between
steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def spectral_norm(w: Array, doublings: int = 10) -> Array:
    """The largest singular value s of w [m, n] (Miyato et al. 2018, eq. 6): a scalar in float32 at
    least.

    Power iteration by squaring: P = A^N, N = 2^doublings, of the smaller Gram matrix A, scaled, in
    place of N products with a vector that would have to be carried from step to step, and could
    stand at right angles to the answer. s^2 = tr(P A) / tr(P) is too small by a share of less than
    log(min(m, n)) / N. The gradient takes P as constant: it is u v^T for singular vectors u and v
    (eq. 10). Raises ValueError unless w is a matrix.
    """
    if w.ndim != 2:
        raise ValueError(f"a spectral norm is a matrix's, not that of {w.shape}")
    w = w.astype(jnp.promote_types(w.dtype, jnp.float32))
    tiny = jnp.finfo(w.dtype).tiny
    # The largest entry is taken out first: squares of huge or tiny numbers are not numbers any
    # more.
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(w).max(), tiny))
    w = w / size
    gram = _product(w.T, w) if w.shape[0] >= w.shape[1] else _product(w, w.T)
    power = jax.lax.stop_gradient(gram)
    for _ in range(doublings):
        power = power / jnp.maximum(jnp.trace(power), tiny)
        # symmetric: rounding would otherwise bend the two factors away from each other
        power = _product(power, power.T)
    square = (power * gram).sum() / jnp.maximum(jnp.trace(power), tiny)
    return size * jnp.where(square <= 0, 0, jnp.sqrt(jnp.where(square <= 0, 1, square)))


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
