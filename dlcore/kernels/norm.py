"""Layer, root-mean-square and batch normalisation with hand-written gradients.

Forward-mode derivatives: see `derivatives.plain_derivatives`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.derivatives import with_backward
from dlcore.kernels.rows import column_sum, device_sum, row_sum


def _forward(x: Array, scale: Array, bias: Array, eps: float) -> tuple[Array, tuple[Array, ...]]:
    upcast = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    n = x.shape[-1]
    centred = upcast - row_sum(upcast) / n
    inverse = jax.lax.rsqrt(row_sum(centred * centred) / n + eps)
    normal = centred * inverse
    y = normal * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(bias, x.shape)
    return y.astype(x.dtype), (normal, inverse, scale, bias, jnp.zeros((), x.dtype))


def _backward(eps: float, saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array, Array]:
    normal, inverse, scale, bias, like = saved
    dy = dy.astype(normal.dtype)
    n = normal.shape[-1]
    g = dy * jnp.broadcast_to(scale, dy.shape)
    dx = inverse * (g - row_sum(g) / n - normal * (row_sum(g * normal) / n))
    dscale = column_sum(dy * normal)
    dbias = column_sum(dy)
    return dx.astype(like.dtype), dscale.astype(scale.dtype), dbias.astype(bias.dtype)


@with_backward(_forward, _backward, nondiff_argnums=(3,))
def layer_norm(
    x: Float[Array, "*batch n"],
    scale: Float[Array, " n"],
    bias: Float[Array, " n"],
    eps: float = 1e-5,
) -> Float[Array, "*batch n"]:
    """Layer normalisation: (x - mean) / sqrt(var + eps) * scale + bias over the last axis.

    Mean and biased variance are computed in two passes, in float32 or wider.

    Args:
        x: inputs [..., n], floating.
        scale: factor of each feature [n].
        bias: offset of each feature [n].
        eps: added to the variance.

    Returns:
        Normalised inputs, shape and dtype of `x`.

    Source: Ba et al. 2016, eq. 4.
    """
    return _forward(x, scale, bias, eps)[0]


def _rms_forward(x: Array, scale: Array, eps: float) -> tuple[Array, tuple[Array, ...]]:
    upcast = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    inverse = jax.lax.rsqrt(row_sum(upcast * upcast) / x.shape[-1] + eps)
    normal = upcast * inverse
    y = (normal * jnp.broadcast_to(scale, x.shape)).astype(x.dtype)
    return y, (normal, inverse, scale, jnp.zeros((), x.dtype))


def _rms_backward(eps: float, saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array]:
    normal, inverse, scale, like = saved
    dy = dy.astype(normal.dtype)
    g = dy * jnp.broadcast_to(scale, dy.shape)
    dx = inverse * (g - normal * (row_sum(g * normal) / normal.shape[-1]))
    return dx.astype(like.dtype), column_sum(dy * normal).astype(scale.dtype)


@with_backward(_rms_forward, _rms_backward, nondiff_argnums=(2,))
def rms_norm(
    x: Float[Array, "*batch n"], scale: Float[Array, " n"], eps: float = 1e-6
) -> Float[Array, "*batch n"]:
    """Root-mean-square normalisation: x / sqrt(mean(x^2) + eps) * scale over the last axis.

    Args:
        x: inputs [..., n], floating; the mean is computed in float32 or wider.
        scale: factor of each feature [n].
        eps: added to the mean square.

    Returns:
        Normalised inputs, shape and dtype of `x`.

    Source: Zhang & Sennrich 2019, eq. 4.
    """
    return _rms_forward(x, scale, eps)[0]


def _sum_over_devices(total: Array, axis_name: str | None) -> Array:
    return total if axis_name is None else device_sum(total, axis_name)


def _batch_forward(
    x: Array, scale: Array, bias: Array, eps: float, axis_name: str | None
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    flat = x.reshape(-1, x.shape[-1]).astype(jnp.promote_types(x.dtype, jnp.float32))
    n = len(flat) if axis_name is None else len(flat) * jax.lax.axis_size(axis_name)
    mean = _sum_over_devices(column_sum(flat), axis_name) / n
    centred = flat - mean[None]
    var = _sum_over_devices(column_sum(centred * centred), axis_name) / n
    inverse = jax.lax.rsqrt(var + eps)
    y = (centred * (inverse * scale)[None] + bias[None]).astype(x.dtype).reshape(x.shape)
    return (y, mean, var), (centred, inverse, scale, bias, jnp.zeros((), x.dtype))


def _batch_backward(
    eps: float, axis_name: str | None, saved: tuple[Array, ...], dys: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    centred, inverse, scale, bias, like = saved
    dy = dys[0].reshape(centred.shape).astype(centred.dtype)
    n = len(centred) if axis_name is None else len(centred) * jax.lax.axis_size(axis_name)
    dbias = column_sum(dy)
    dscale = column_sum(dy * centred) * inverse
    # What reaches x through mean and variance is the sum over all devices; the gradients of scale
    # and bias are summed over devices by the training step.
    through_mean = _sum_over_devices(dbias, axis_name) / n
    through_var = _sum_over_devices(dscale, axis_name) / n
    dx = (inverse * scale)[None] * (
        dy - through_mean[None] - centred * (inverse * through_var)[None]
    )
    return (
        dx.astype(like.dtype).reshape(dys[0].shape),
        dscale.astype(scale.dtype),
        dbias.astype(bias.dtype),
    )


@with_backward(_batch_forward, _batch_backward, nondiff_argnums=(3, 4))
def batch_norm(
    x: Float[Array, "*batch n"],
    scale: Float[Array, " n"],
    bias: Float[Array, " n"],
    eps: float = 1e-5,
    axis_name: str | None = None,
) -> tuple[Float[Array, "*batch n"], Float[Array, " n"], Float[Array, " n"]]:
    """Batch normalisation: (x - mean) / sqrt(var + eps) * scale + bias over all axes but the last.

    Args:
        x: inputs [..., n], floating.
        scale: factor of each feature [n].
        bias: offset of each feature [n].
        eps: added to the variance.
        axis_name: a per-device axis (shard_map, pmap) over which mean and variance are computed
            too, while gradients of scale and bias are not summed over it; None: over this device's
            inputs alone.

    Returns:
        Normalised inputs, shape and dtype of `x`; mean and biased variance [n], float32 or wider.
        No gradient flows through the returned mean and variance.

    Source: Ioffe & Szegedy 2015, alg. 1.
    """
    y, mean, var = _batch_forward(x, scale, bias, eps, axis_name)[0]
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(var)
