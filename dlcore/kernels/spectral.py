"""The largest singular value of a matrix, computed without a state carried between steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def spectral_norm(w: Float[Array, "m n"], doublings: int = 10) -> Float[Array, ""]:
    """Spectral norm: the largest singular value of a matrix, by power iteration.

    The iteration squares the scaled smaller Gram matrix A repeatedly: P = A^N with N =
    2^doublings, and s^2 = tr(P A) / tr(P). Power iteration with a vector would need N products or a
    vector carried from step to step, which could be orthogonal to the result. The estimate of s^2
    is too small by a fraction of less than log(min(m, n)) / N. The gradient treats P as constant:
    it is u v^T for the singular vectors u and v (eq. 10 of the source).

    Args:
        w: matrix [m, n], floating; computed in float32 or wider.
        doublings: number of squarings.

    Returns:
        A scalar, float32 or wider.

    Raises:
        ValueError: `w` is not a matrix.

    Source: Miyato et al. 2018, eq. 6.
    """
    if w.ndim != 2:
        raise ValueError(f"the spectral norm needs a matrix, not an array of shape {w.shape}")
    w = w.astype(jnp.promote_types(w.dtype, jnp.float32))
    tiny = jnp.finfo(w.dtype).tiny
    # Divides by the largest entry first: squares of huge or tiny numbers overflow or underflow.
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.abs(w).max(), tiny))
    w = w / scale
    gram = _product(w.T, w) if w.shape[0] >= w.shape[1] else _product(w, w.T)
    power = jax.lax.stop_gradient(gram)
    for _ in range(doublings):
        power = power / jnp.maximum(jnp.trace(power), tiny)
        # power.T: rounding would otherwise make the product less and less symmetric
        power = _product(power, power.T)
    square = (power * gram).sum() / jnp.maximum(jnp.trace(power), tiny)
    return scale * jnp.where(square <= 0, 0, jnp.sqrt(jnp.where(square <= 0, 1, square)))


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
