"""Gradients summed over microbatches in one compiled scan."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dlcore.sharding import MICROBATCHES, Tree

# (params, extra, batch) -> (gradients, out), as `jax.grad(loss, has_aux=True)` computes them
Gradient = Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def over_microbatches(
    grad: Gradient, params: Tree, extra: Tree, batch: Tree, count: int
) -> tuple[Tree, Tree]:
    """Computes gradients and metrics of a batch in `count` microbatches, one after the other.

    Totals and weights are summed and never averaged, so that every example has the same weight
    however many examples of a microbatch are masked.

    Args:
        grad: (params, extra, batch) -> the gradients of a loss's total by `params`, and the loss's
            `Out` (step.py).
        params: parameters that are trained.
        extra: extra state; each microbatch receives the extra state after the one before.
        batch: arrays [rows, ...]; `rows` is a multiple of `count`. Microbatch i has the rows i, i +
            count, i + 2 count, ...
        count: number of microbatches; 1: the batch as it is, without a scan.

    Returns:
        The sum of the gradients, and `Out` with sums of all means and the last extra state.
    """
    if count == 1:
        return grad(params, extra, batch)
    token = MICROBATCHES.set(count)
    try:
        return _accumulated(grad, params, extra, batch, count)
    finally:
        MICROBATCHES.reset(token)


def _accumulated(
    grad: Gradient, params: Tree, extra: Tree, batch: Tree, count: int
) -> tuple[Tree, Tree]:
    """`over_microbatches` of two microbatches or more."""
    # Microbatch i takes the rows i, i + count, ...: each row stays on its device.
    microbatches = jax.tree.map(
        lambda x: x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1), batch
    )

    def body(carry: tuple[Tree, Tree], microbatch: Tree) -> tuple[tuple[Tree, Tree], None]:
        sums, extra = carry
        grads, out = grad(params, extra, microbatch)
        return (jax.tree.map(jnp.add, sums, (grads, out._replace(extra={}))), out.extra), None

    first = jax.tree.map(lambda x: x[0], microbatches)
    grads, out = jax.eval_shape(grad, params, extra, first)
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, out._replace(extra={})))
    (sums, extra), _ = jax.lax.scan(body, (zero, extra), microbatches)
    grads, out = sums
    return grads, out._replace(extra=extra)
