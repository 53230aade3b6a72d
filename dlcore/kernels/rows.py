"""Sums over rows, over columns and over devices, in the forms that run fast on CPU."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Shaped

Tree = TypeVar("Tree")


def row_sum(x: Float[Array, "*batch n"]) -> Float[Array, "*batch 1"]:
    """Sums over the last axis, which is kept with length 1.

    On CPU it is a matrix product with a column of ones: there XLA turns a reduction into a strided
    loop, fuses it with the operations before it, and so recomputes these. A layer norm in a
    Transformer of width 128 became 20 times faster.

    Args:
        x: [..., n], floating.

    Returns:
        Sums [..., 1], dtype of `x`.
    """
    return jax.lax.platform_dependent(
        x, cpu=_product_with_ones, default=lambda x: x.sum(-1, keepdims=True)
    )


def square_sum(x: Shaped[Array, " ..."]) -> Float[Array, ""]:
    """Computes the sum of the squares of all elements.

    Computed row by row, for the reason that `row_sum` gives: on CPU five times as fast as XLA's
    reduction to a scalar.

    Args:
        x: any shape and numeric dtype.

    Returns:
        A scalar, float32 or wider.
    """
    x = jnp.atleast_1d(x).astype(jnp.promote_types(x.dtype, jnp.float32))
    return row_sum(x * x).sum()


def _product_with_ones(x: Array) -> Array:
    return jax.lax.dot_general(
        x,
        jnp.ones((x.shape[-1], 1), x.dtype),
        (((x.ndim - 1,), (0,)), ((), ())),
        precision=jax.lax.Precision.HIGHEST,
    )


def _ones_times(x: Array) -> Array:
    ones = jnp.ones((1, x.shape[0]), x.dtype)
    return jax.lax.dot_general(
        ones, x, (((1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST
    )[0]


def column_sum(x: Float[Array, "*batch n"]) -> Float[Array, " n"]:
    """Sums over all axes but the last.

    On CPU, up to 1,024 rows, it is a matrix product, as in `row_sum`. A product adds the rows one
    after the other: over the 25,000 pixels of a small batch its rounding error would reach the
    fifth digit, so more rows use XLA's reduction.

    Args:
        x: [..., n], floating.

    Returns:
        Sums [n], dtype of `x`.
    """
    flat = x.reshape(-1, x.shape[-1])
    if flat.shape[0] > 1024:
        return flat.sum(0)
    return jax.lax.platform_dependent(flat, cpu=_ones_times, default=lambda x: x.sum(0))


def device_sum(tree: Tree, axis_name: str) -> Tree:
    """Sums each array over the devices of a mapped axis (shard_map, pmap, vmap).

    On CPU the terms are added in the order of the devices. Collectives between processes add in
    another order than those within one process, so that a run of four processes would drift from
    the same run of one. All arrays of a dtype are sent as one vector, of which each device sums its
    part and sends the result to the others: the traffic of a device does not grow with the number
    of devices, and they synchronise only twice.

    Args:
        tree: a tree of arrays of any shape.
        axis_name: name of the mapped axis.

    Returns:
        A tree like `tree`, the same on every device.
    """
    return jax.lax.platform_dependent(
        tree,
        cpu=lambda tree: _in_order(tree, axis_name),
        default=lambda tree: jax.lax.psum(tree, axis_name),
    )


def _in_order(tree: Tree, axis_name: str) -> Tree:
    """`device_sum` in the order of the devices."""
    leaves, structure = jax.tree.flatten(tree)
    summed: dict[int, Array] = {}
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):
        indices = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        flat, unravel = ravel_pytree([leaves[i] for i in indices])
        for i, x in zip(indices, unravel(_sum_in_order(flat, axis_name)), strict=True):
            summed[i] = x
    return jax.tree.unflatten(structure, [summed[i] for i in range(len(leaves))])


def _sum_in_order(x: Array, axis_name: str) -> Array:
    """The sum of one vector over the devices, in their order."""
    devices = jax.lax.axis_size(axis_name)
    if x.size < 64 * devices:  # too small to be worth dividing among the devices
        return jax.lax.all_gather(x, axis_name).sum(0, dtype=x.dtype)
    parts = jnp.pad(x, (0, -x.size % devices)).reshape(devices, -1)
    terms = jax.lax.all_to_all(parts, axis_name, 0, 0)
    return jax.lax.all_gather(terms.sum(0, dtype=x.dtype), axis_name, tiled=True)[: x.size]
