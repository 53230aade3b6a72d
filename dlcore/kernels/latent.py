"""Densities and divergences of latent variable models: one value per example."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.rows import row_sum


def gaussian_kl(
    mean: Float[Array, "*batch d"], log_var: Float[Array, "*batch d"]
) -> Float[Array, "*batch"]:
    """Computes the KL divergence of a diagonal Gaussian from the standard normal distribution.

    KL(N(mean, e^log_var) || N(0, I)) = 1/2 sum(mean^2 + e^log_var - 1 - log_var), computed in
    float32 or wider.

    Args:
        mean: [..., d], floating.
        log_var: logarithm of the variance [..., d].

    Returns:
        Divergences in nats [...], dtype of `mean`.

    Source: Kingma & Welling 2014, appendix B.
    """
    dtype = mean.dtype
    mean, log_var = _upcast(mean, log_var)
    # expm1: e^v - 1 - v of a variance near 1 would lose all its digits.
    return (0.5 * _sum(mean * mean + (jnp.expm1(log_var) - log_var))).astype(dtype)


def gaussian_log_density(
    x: Float[Array, "*#batch #d"],
    mean: Float[Array, "*#batch #d"],
    log_var: Float[Array, "*#batch #d"],
) -> Float[Array, " ..."]:
    """Computes the log-density of a diagonal Gaussian, summed over the last axis.

    log N(x; mean, e^log_var) = -1/2 sum(log 2 pi + log_var + (x - mean)^2 e^-log_var), computed in
    float32 or wider.

    Args:
        x: [..., d], floating. The three arguments broadcast against each other.
        mean: [..., d].
        log_var: logarithm of the variance [..., d].

    Returns:
        Log-densities in nats [...], dtype of `x`.
    """
    dtype = x.dtype
    x, mean, log_var = _upcast(x, mean, log_var)
    z = (x - mean) * jnp.exp(-0.5 * log_var)
    return (-0.5 * _sum(math.log(2 * math.pi) + log_var + z * z)).astype(dtype)


def bernoulli_log_density(
    x: Float[Array, "*#batch n"], logits: Float[Array, "*#batch n"]
) -> Float[Array, " ..."]:
    """Computes the log-probability of independent Bernoulli variables, summed over the last axis.

    log prod p^x (1 - p)^(1 - x) with p = sigmoid(logits): sum(x l - softplus(l)), computed in
    float32 or wider.

    Args:
        x: values in [0, 1], [..., n]; leading axes broadcast to those of `logits`.
        logits: [..., n], floating.

    Returns:
        Log-probabilities in nats [...], dtype of `logits`.

    Source: Kingma & Welling 2014, appendix C.1.
    """
    dtype = logits.dtype
    x, logits = _upcast(x, logits)
    # Without jax.nn.softplus's cases of infinity and NaN, which cost twice as much again.
    return _sum(
        (x * logits - jnp.maximum(logits, 0)) - jnp.log1p(jnp.exp(-jnp.abs(logits)))
    ).astype(dtype)


def continuous_bernoulli_log_density(
    x: Float[Array, "*#batch n"], logits: Float[Array, "*#batch n"]
) -> Float[Array, " ..."]:
    """Computes the log-density of continuous Bernoulli variables, summed over the last axis.

    log prod C(l) p^x (1 - p)^(1 - x), a density on [0, 1]: sum(x l - log((e^l - 1) / l)), computed
    in float32 or wider.

    Args:
        x: values in [0, 1], [..., n]; leading axes broadcast to those of `logits`.
        logits: [..., n], floating.

    Returns:
        Log-densities in nats [...], dtype of `logits`.

    Source: Loaiza-Ganem & Cunningham 2019, eqs. 3 and 4.
    """
    dtype = logits.dtype
    x, logits = _upcast(x, logits)
    a = jnp.abs(logits)
    # Near 0 the series log((1 - e^-a) / a) = -a/2 + a^2/24 - ...: its gradient is not the
    # difference of two large numbers.
    near = a < 0.2
    b, c = jnp.where(near, a, 0.0), jnp.where(near, 1.0, a)
    series = -b / 2 + b**2 / 24 - b**4 / 2880 + b**6 / 181440 - b**8 / 9676800
    norm = jnp.where(near, series, jnp.log(-jnp.expm1(-c)) - jnp.log(c))
    return _sum((x * logits - jnp.maximum(logits, 0)) - norm).astype(dtype)


def continuous_bernoulli_mean(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the mean of the continuous Bernoulli distribution: 1 / (1 - e^-l) - 1 / l.

    Args:
        logits: l, any shape, floating; computed in float32 or wider, elementwise.

    Returns:
        Means in [0, 1], shape and dtype of `logits`.

    Source: Loaiza-Ganem & Cunningham 2019, eq. 8.
    """
    dtype = logits.dtype
    (x,) = _upcast(logits)
    near = jnp.abs(x) < 0.2
    b, c = jnp.where(near, x, 0.0), jnp.where(near, 1.0, jnp.abs(x))
    series = 0.5 + b / 12 - b**3 / 720 + b**5 / 30240 - b**7 / 1209600 + b**9 / 47900160
    above = -1 / jnp.expm1(-c) - 1 / c  # for |l|; for negative l it is 1 minus this
    return jnp.where(near, series, jnp.where(x > 0, above, 1 - above)).astype(dtype)


def importance_bound(log_weights: Float[Array, "*batch samples"]) -> Float[Array, "*batch"]:
    """Computes the importance-weighted lower bound on log p(x): log 1/K sum_k e^w_k.

    In its gradient, sample k has the weight softmax(w)_k.

    Args:
        log_weights: w_k = log p(x, z_k) - log q(z_k | x) of K samples z_k of q, [..., K];
            computed in float32 or wider.

    Returns:
        Bounds in nats [...], dtype of `log_weights`.

    Source: Burda et al. 2016, eq. 8.
    """
    dtype = log_weights.dtype
    (w,) = _upcast(log_weights)
    return (jax.nn.logsumexp(w, -1) - math.log(w.shape[-1])).astype(dtype)


def keep_largest(x: Float[Array, "*batch n"], k: int) -> Float[Array, "*batch n"]:
    """Keeps the `k` largest values of the last axis and sets the others to 0.

    Args:
        x: [..., n], floating.
        k: how many to keep, from 1 to n. All values equal to the k-th largest are kept.

    Returns:
        Values or zeros, shape and dtype of `x`.

    Raises:
        ValueError: k is outside 1 to n.

    Source: Makhzani & Frey 2014, alg. 1.
    """
    if not 1 <= k <= x.shape[-1]:
        raise ValueError(
            f"cannot keep the {k} largest of {x.shape[-1]} values: k must be from 1 to that"
        )
    order = _ordered(x)
    least = jnp.zeros((*x.shape[:-1], 1), order.dtype)
    # Finds the k-th largest value bit by bit: on CPU a sort takes ten times as long.
    for bit in reversed(range(jnp.iinfo(order.dtype).bits)):
        higher = least | jnp.asarray(1 << bit, order.dtype)
        least = jnp.where(row_sum((order >= higher).astype(jnp.float32)) >= k, higher, least)
    return jnp.where(order >= least, x, jnp.zeros_like(x))


def _ordered(x: Array) -> Array:
    """Maps floating values to unsigned integers of the same order."""
    (x,) = _upcast(jax.lax.stop_gradient(x))
    bits = jax.lax.bitcast_convert_type(x, jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32)
    top = jnp.asarray(1 << (jnp.iinfo(bits.dtype).bits - 1), bits.dtype)
    return jnp.where(bits >= top, ~bits, bits | top)


def _upcast(*arrays: Array) -> tuple[Array, ...]:
    return tuple(x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in arrays)


def _sum(x: Array) -> Array:
    return row_sum(x)[..., 0]
