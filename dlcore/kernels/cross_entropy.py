"""Softmax cross-entropy of a linear layer, computed without storing all of its logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.derivatives import with_backward
from dlcore.kernels.rows import row_sum

# Logits in memory at once, 128 MiB in float32. With smaller chunks, adding up the gradient by the
# table takes most of the time.
ELEMENTS = 1 << 25


def linear_cross_entropy(
    hidden: Float[Array, "rows width"],
    table: Float[Array, "vocabulary width"],
    targets: Integer[Array, " rows"],
    weight: Float[Array, " rows"],
    elements: int = ELEMENTS,
) -> Float[Array, ""]:
    """Computes the weighted sum of the cross-entropies of a linear output layer.

    sum_n weight_n (log sum_v exp(h_n . e_v) - h_n . e_target(n)). Rows are processed in chunks of
    about `elements` logits. Where a gradient is requested it is computed in the same pass, since
    the gradient of a scalar is known up to a factor: three matrix products, as with stored logits,
    and memory that does not grow with rows times vocabulary. Only first reverse-mode derivatives
    by `hidden` and `table` are supported (the gradient by `weight` is 0); for others, see
    `derivatives.plain_derivatives`.

    Args:
        hidden: inputs of the layer [rows, width], floating.
        table: weights of the layer [vocabulary, width], one row per class, as in an embedding.
        targets: target class of each row [rows], integers from 0 to vocabulary - 1.
        weight: weight of each row [rows], at least 0. Rows of weight 0 contribute nothing, even if
            they contain NaN.
        elements: number of logits in memory at once, about.

    Returns:
        The sum in nats, a scalar in float32 or wider.

    Raises:
        ValueError: the shapes do not fit, or `elements` is below 1.

    Source: Wijmans et al. 2024 (Cut Your Losses in Large-Vocabulary Language Models); Hsu et al.
        2024 (Liger Kernel).
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
        carry: tuple[Array, Array], chunk: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], Array]:
        total, d_table = carry
        h, target, w = chunk
        loss, h, e, sums = _losses(h, target, w, table)
        # d loss / d logits = w (softmax - one-hot) = w / sums (e - sums one-hot). The factor is
        # applied to the smaller arrays, and one entry per row of e is changed in place, so that
        # the array of logits is written once.
        e = e.at[jnp.arange(len(e)), target].add(-sums[:, 0]).astype(h.dtype)
        factor = jnp.maximum(w[:, None], 0).astype(sums.dtype) / sums
        of_chunk = jnp.matmul(
            e.T, (h * factor).astype(h.dtype), preferred_element_type=d_table.dtype
        )
        return (total + loss, d_table + of_chunk), ((e @ table) * factor).astype(h.dtype)

    start = (_zero(hidden), jnp.zeros(table.shape, jnp.promote_types(table.dtype, jnp.float32)))
    (total, d_table), d_hidden = jax.lax.scan(
        add, start, _chunks(hidden, table, targets, weight, elements)
    )
    d_hidden = d_hidden.reshape(-1, hidden.shape[1])[: len(hidden)]
    return total, (d_hidden, d_table.astype(table.dtype), targets, weight)


def _backward(
    elements: int, saved: tuple[Array, Array, Array, Array], slope: Array
) -> tuple[Array, Array, None, Array]:
    d_hidden, d_table, _, weight = saved
    return (
        d_hidden * slope.astype(d_hidden.dtype),
        d_table * slope.astype(d_table.dtype),
        None,
        jnp.zeros_like(weight),
    )


@with_backward(_forward, _backward, nondiff_argnums=(4,))
def _total(hidden: Array, table: Array, targets: Array, weight: Array, elements: int) -> Array:
    def add(total: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        return total + _losses(*chunk, table)[0], None

    return jax.lax.scan(add, _zero(hidden), _chunks(hidden, table, targets, weight, elements))[0]


def _losses(h: Array, target: Array, w: Array, table: Array) -> tuple[Array, Array, Array, Array]:
    """One chunk: its loss; h with 0 in rows of weight 0; exp(logits - row maximum); row sums of
    that.
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
    """Splits hidden, targets and weight into chunks of similar size: [chunks, rows, ...].

    The last chunk is filled up with rows of weight 0.
    """
    count = -(-len(hidden) // max(1, elements // table.shape[0]))
    rows = len(hidden) if count == 1 else -(-len(hidden) // (count * 16)) * 16

    def split(x: Array) -> Array:
        missing = count * rows - len(x)
        if missing:
            x = jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)])
        return x.reshape(count, rows, *x.shape[1:])

    return split(hidden), split(targets), split(weight)
