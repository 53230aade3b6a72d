"""Layer normalisation with a hand-written gradient."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.rows import column_sum, row_sum


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x: Array, scale: Array, bias: Array, eps: float = 1e-5) -> Array:
    """(x - mean) / sqrt(var + eps) * scale + bias over the last axis (Ba et al. 2016, eq. 4).

    x [..., n], scale [n], bias [n]; output like x, computed in float32 at least. Mean and (biased) variance in two passes.
    """
    return _forward(x, scale, bias, eps)[0]


def _forward(x: Array, scale: Array, bias: Array, eps: float) -> tuple[Array, tuple[Array, ...]]:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    n = x.shape[-1]
    centred = wide - row_sum(wide) / n
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
    return dx.astype(like.dtype), column_sum(dy * normal).astype(scale.dtype), column_sum(dy).astype(bias.dtype)


layer_norm.defvjp(_forward, _backward)
