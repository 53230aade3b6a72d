"""Densities and divergences of latent variable models, summed over the last axis: one number an
example.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.rows import row_sum


def gaussian_kl(mean: Array, log_var: Array) -> Array:
    """KL(N(mean, e^log_var) || N(0, I)) = 1/2 sum(mean^2 + e^log_var - 1 - log_var) (Kingma &
    Welling 2014, appendix B).

    mean, log_var [..., d] -> [...] of their dtype, computed in float32 at least.
    """
    mean, log_var, dtype = *_upcast(mean, log_var), mean.dtype
    # expm1: e^v - 1 - v of a variance near 1 would lose all its digits.
    return (0.5 * _sum(mean * mean + (jnp.expm1(log_var) - log_var))).astype(dtype)


def gaussian_log_density(x: Array, mean: Array, log_var: Array) -> Array:
    """log N(x; mean, e^log_var) = -1/2 sum(log 2 pi + log_var + (x - mean)^2 e^-log_var), a
    diagonal Gaussian.

    x, mean, log_var [..., d] (any may be 1 along an axis) -> [...] of x's dtype, computed in
    float32 at least.
    """
    (x, mean, log_var), dtype = _upcast(x, mean, log_var), x.dtype
    away = (x - mean) * jnp.exp(-0.5 * log_var)
    return (-0.5 * _sum(math.log(2 * math.pi) + log_var + away * away)).astype(dtype)


def bernoulli_log_density(x: Array, logits: Array) -> Array:
    """log prod p^x (1 - p)^(1 - x), p = sigmoid(logits): sum(x l - softplus(l)) (Kingma & Welling
    2014, appendix C.1).

    x in [0, 1] and logits [..., n] (x may be 1 along an axis) -> [...] of the logits' dtype,
    computed in float32 at least.
    """
    (x, logits), dtype = _upcast(x, logits), logits.dtype
    # Without jax.nn.softplus's cases of infinity and NaN, which cost twice as much again.
    return _sum(
        (x * logits - jnp.maximum(logits, 0)) - jnp.log1p(jnp.exp(-jnp.abs(logits)))
    ).astype(dtype)


def continuous_bernoulli_log_density(x: Array, logits: Array) -> Array:
    """log prod C(l) p^x (1 - p)^(1 - x), a density on [0, 1] (Loaiza-Ganem & Cunningham 2019, eq. 3
    and 4): sum(x l - log((e^l - 1) / l)).

    Shapes and dtypes as `bernoulli_log_density`.
    """
    (x, logits), dtype = _upcast(x, logits), logits.dtype
    a = jnp.abs(logits)
    near = (
        a < 0.2
        # there the series log((1 - e^-a) / a) = -a/2 + a^2/24 - ..., whose slope is not the
        # difference
        # of two large ones
    )
    b, c = jnp.where(near, a, 0.0), jnp.where(near, 1.0, a)
    series = -b / 2 + b**2 / 24 - b**4 / 2880 + b**6 / 181440 - b**8 / 9676800
    norm = jnp.where(near, series, jnp.log(-jnp.expm1(-c)) - jnp.log(c))
    return _sum((x * logits - jnp.maximum(logits, 0)) - norm).astype(dtype)


def continuous_bernoulli_mean(logits: Array) -> Array:
    """1 / (1 - e^-l) - 1 / l, the mean of that density (Loaiza-Ganem & Cunningham 2019, eq. 8),
    elementwise; dtype kept.
    """
    (x,), dtype = _upcast(logits), logits.dtype
    near = jnp.abs(x) < 0.2
    b, c = jnp.where(near, x, 0.0), jnp.where(near, 1.0, jnp.abs(x))
    series = 0.5 + b / 12 - b**3 / 720 + b**5 / 30240 - b**7 / 1209600 + b**9 / 47900160
    above = -1 / jnp.expm1(-c) - 1 / c  # of |l|; the other side is 1 less that
    return jnp.where(near, series, jnp.where(x > 0, above, 1 - above)).astype(dtype)


def importance_bound(log_weights: Array) -> Array:
    """log 1/K sum_k e^w_k, a lower bound on log p(x) from w_k = log p(x, z_k) - log q(z_k | x)
    (Burda et al. 2016, eq. 8).

    log_weights [..., K] -> [...] of their dtype, computed in float32 at least. Its gradient weighs
    each sample by softmax(w).
    """
    (w,), dtype = _upcast(log_weights), log_weights.dtype
    return (jax.nn.logsumexp(w, -1) - math.log(w.shape[-1])).astype(dtype)


def keep_largest(x: Array, k: int) -> Array:
    """x where it is among the k largest of the last axis, 0 elsewhere (Makhzani & Frey 2014, alg.
    1); dtype kept.

    x [..., n]; equals of the k-th largest are all kept. Raises ValueError unless 1 <= k <= n.
    """
    if not 1 <= k <= x.shape[-1]:
        raise ValueError(f"the {k} largest of {x.shape[-1]} numbers cannot be kept")
    order = _ordered(x)
    least = jnp.zeros((*x.shape[:-1], 1), order.dtype)
    # the k-th largest bit by bit: on CPU a sort takes ten times as long
    for bit in reversed(range(jnp.iinfo(order.dtype).bits)):
        higher = least | jnp.asarray(1 << bit, order.dtype)
        least = jnp.where(row_sum((order >= higher).astype(jnp.float32)) >= k, higher, least)
    return jnp.where(order >= least, x, jnp.zeros_like(x))


def _ordered(x: Array) -> Array:
    """Unsigned integers in the order of the floating numbers x."""
    (x,) = _upcast(jax.lax.stop_gradient(x))
    bits = jax.lax.bitcast_convert_type(x, jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32)
    top = jnp.asarray(1 << (jnp.iinfo(bits.dtype).bits - 1), bits.dtype)
    return jnp.where(bits >= top, ~bits, bits | top)


def _upcast(*arrays: Array) -> tuple[Array, ...]:
    return tuple(x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in arrays)


def _sum(x: Array) -> Array:
    return row_sum(x)[..., 0]
