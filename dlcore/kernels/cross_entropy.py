"""Softmax cross-entropy of a linear layer, without its logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import with_backward
from dlcore.kernels.rows import row_sum

# logits that exist at once, 128 MiB in float32: with fewer, adding up the gradient by the table
# takes over
ELEMENTS = 1 << 25


def linear_cross_entropy(
    hidden: Array, table: Array, targets: Array, weight: Array, elements: int = ELEMENTS
) -> Array:
    """sum_n weight_n (log sum_v exp(h_n . e_v) - h_n . e_target(n)), in float32 at least: a scalar.

    hidden [rows, width], table [vocabulary, width] (a row a word, as an embedding), targets [rows]
    whole numbers, weight [rows]; rows of weight 0 have no part in it, whatever they hold. Rows go
    in chunks of about `elements` logits, and where a gradient is asked for it is made in the same
    pass, since that of a scalar is known up to its factor: so three products, as with the logits
    kept, and memory that is flat in rows times vocabulary. First derivatives, in reverse mode, in
    hidden and table only; others, and those by the weight: `derivatives.plain_derivatives`. After
    Wijmans et al. 2024 (Cut Your Losses in Large-Vocabulary Language Models) and Hsu et al. 2024
    (Liger Kernel). ValueError: shapes that do not fit, or `elements` below 1.
    """
    if hidden.ndim != 2 or table.ndim != 2 or hidden.shape[1] != table.shape[1] or elements < 1:
        raise ValueError(
            f"hidden {hidden.shape} and table {table.shape} need one width, and elements {elements}"
            " be at least 1"
        )
    if targets.shape != hidden.shape[:1] or weight.shape != hidden.shape[:1]:
        raise ValueError(
            f"targets {targets.shape} and weight {weight.shape} must have a number for each of"
            f" {len(hidden)} rows"
        )
    return _total(hidden, table, targets, weight, elements)


def _forward(
    hidden: Array, table: Array, targets: Array, weight: Array, elements: int
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    def add(
        carry: tuple[Array, Array], part: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], Array]:
        h, target, w = part
        loss, h, e, total = _losses(h, target, w, table)
        # d loss / d logits = w (softmax - one-hot) = w / total (e - total one-hot). The factor goes
        # to the narrow arrays, and one
        # number a row is changed in place: the wide one is written once.
        e = e.at[jnp.arange(len(e)), target].add(-total[:, 0]).astype(h.dtype)
        factor = jnp.maximum(w[:, None], 0).astype(total.dtype) / total
        own = jnp.matmul(e.T, (h * factor).astype(h.dtype), preferred_element_type=carry[1].dtype)
        return (carry[0] + loss, carry[1] + own), ((e @ table) * factor).astype(h.dtype)

    start = (_zero(hidden), jnp.zeros(table.shape, jnp.promote_types(table.dtype, jnp.float32)))
    (total, d_table), d_hidden = jax.lax.scan(
        add, start, _chunks(hidden, table, targets, weight, elements)
    )
    return total, (
        d_hidden.reshape(-1, hidden.shape[1])[: len(hidden)],
        d_table.astype(table.dtype),
        targets,
        weight,
    )


def _backward(
    elements: int, kept: tuple[Array, Array, Array, Array], slope: Array
) -> tuple[Array, Array, None, Array]:
    d_hidden, d_table, _, weight = kept
    return (
        d_hidden * slope.astype(d_hidden.dtype),
        d_table * slope.astype(d_table.dtype),
        None,
        jnp.zeros_like(weight),
    )


@with_backward(_forward, _backward, nondiff_argnums=(4,))
def _total(hidden: Array, table: Array, targets: Array, weight: Array, elements: int) -> Array:
    def add(total: Array, part: tuple[Array, Array, Array]) -> tuple[Array, None]:
        return total + _losses(*part, table)[0], None

    return jax.lax.scan(add, _zero(hidden), _chunks(hidden, table, targets, weight, elements))[0]


def _losses(h: Array, target: Array, w: Array, table: Array) -> tuple[Array, Array, Array, Array]:
    """A chunk's loss, its rows that count, exp(logits - the row's largest), and the sums of
    these.
    """
    h = jnp.where(w[:, None] > 0, h, 0)  # 0 times NaN is NaN
    logits = h @ table.T
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    top = logits.max(-1, keepdims=True)
    e = jnp.exp(logits - top)
    total = row_sum(e)
    loss = jnp.log(total[:, 0]) + top[:, 0] - jnp.take_along_axis(logits, target[:, None], -1)[:, 0]
    return jnp.sum(jnp.where(w > 0, loss, 0) * w), h, e, total


def _zero(hidden: Array) -> Array:
    return jnp.zeros((), jnp.promote_types(hidden.dtype, jnp.float32))


def _chunks(
    hidden: Array, table: Array, targets: Array, weight: Array, elements: int
) -> tuple[Array, Array, Array]:
    """[chunks, rows a chunk, ...] of much the same size, the last chunk filled up with rows of
    weight 0.
    """
    count = -(-len(hidden) // max(1, elements // table.shape[0]))
    rows = len(hidden) if count == 1 else -(-len(hidden) // (count * 16)) * 16

    def split(x: Array) -> Array:
        filled = (
            jnp.concatenate([x, jnp.zeros((count * rows - len(x), *x.shape[1:]), x.dtype)])
            if count * rows > len(x)
            else x
        )
        return filled.reshape(count, rows, *x.shape[1:])

    return split(hidden), split(targets), split(weight)
