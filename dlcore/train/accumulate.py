"""Gradients over microbatches, in one compiled scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def over_microbatches(
    grad: Callable[..., Any], own: Tree, extra: Tree, batch: Tree, n: int
) -> tuple[Tree, Any]:
    """`grad(own, extra, batch) -> (gradients, out)`, summed over `n` microbatches; `extra` goes
    from one to the next.

    Totals and weights are summed, never means of means, so that ragged masks weigh what they
    should.
    """
    if n == 1:
        return grad(own, extra, batch)
    # Microbatch i takes the rows i, i + n, ...: each device's rows stay on that device, nothing is
    # sent around.
    parts = jax.tree.map(
        lambda x: x.reshape(x.shape[0] // n, n, *x.shape[1:]).swapaxes(0, 1), batch
    )

    def body(carry: tuple[Tree, Tree], part: Tree) -> tuple[tuple[Tree, Tree], None]:
        sums, extra = carry
        grads, out = grad(own, extra, part)
        return (jax.tree.map(jnp.add, sums, (grads, out._replace(extra={}))), out.extra), None

    first = jax.tree.map(lambda x: x[0], parts)
    grads, out = jax.eval_shape(grad, own, extra, first)
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, out._replace(extra={})))
    (sums, extra), _ = jax.lax.scan(body, (zero, extra), parts)
    grads, out = sums
    return grads, out._replace(extra=extra)
