"""Reductions that run fast on CPU, and over devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def row_sum(x: Array) -> Array:
    """The sum over the last axis, kept as an axis of one: [..., n] -> [..., 1].

    On CPU it is a matrix product with a column of ones: XLA turns a reduction there into a strided loop that it fuses with, and
    recomputes, everything before it; a layer norm in a Transformer of width 128 became 20 times faster.
    """
    return jax.lax.platform_dependent(x, cpu=_product_with_ones, default=lambda x: x.sum(-1, keepdims=True))


def square_sum(x: Array) -> Array:
    """The sum of the squares of all of x, in float32 at least: a scalar.

    Row by row, for the reason that `row_sum` has: on CPU five times as fast as XLA's reduction to a scalar.
    """
    x = jnp.atleast_1d(x).astype(jnp.promote_types(x.dtype, jnp.float32))
    return row_sum(x * x).sum()


def _product_with_ones(x: Array) -> Array:
    return jax.lax.dot_general(
        x, jnp.ones((x.shape[-1], 1), x.dtype), (((x.ndim - 1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST
    )


def _ones_times(x: Array) -> Array:
    ones = jnp.ones((1, x.shape[0]), x.dtype)
    return jax.lax.dot_general(ones, x, (((1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST)[0]


def column_sum(x: Array) -> Array:
    """The sum over all axes but the last: [..., n] -> [n]; on CPU, up to 1,024 rows, as a matrix product, as in `row_sum`.

    A product adds in one chain: over the 25,000 pixels of a small batch its rounding would reach the fifth digit.
    """
    flat = x.reshape(-1, x.shape[-1])
    if flat.shape[0] > 1024:
        return flat.sum(0)
    return jax.lax.platform_dependent(flat, cpu=_ones_times, default=lambda x: x.sum(0))


def device_sum(x: Array, axis_name: str) -> Array:
    """The sum of x over the devices of an axis (shard_map, pmap, vmap): [...] -> [...] on every device.

    On CPU the terms are gathered and added in the order of the devices. Collectives between processes add in another order than those
    of one process, and so a run of four processes would drift from the same run of one.
    """
    in_order = lambda x: jax.lax.all_gather(x, axis_name).sum(0, dtype=x.dtype)  # noqa: E731
    return jax.lax.platform_dependent(x, cpu=in_order, default=lambda x: jax.lax.psum(x, axis_name))
