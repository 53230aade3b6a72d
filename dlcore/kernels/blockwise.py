"""Attention over long sequences, block by block.

Neither the forward nor the backward pass holds an array of the size of queries times keys.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from dlcore.kernels.derivatives import plain_derivatives, with_backward

BLOCK = 512  # queries and keys of one block
# the score of a masked key; finite, so that a query whose keys are all masked weighs them equally
NEVER = -1e30


def blockwise_attention(
    q: Float[Array, "batch heads queries d"],
    k: Float[Array, "batch groups keys d"],
    v: Float[Array, "batch groups keys d"],
    mask: Bool[Array, "batch keys"] | Bool[Array, "#batch queries keys"] | None = None,
    *,
    causal: bool = False,
    block: int = BLOCK,
) -> Float[Array, "batch heads queries d"]:
    """Computes attention, softmax(q k^T / sqrt(d)) v, with memory linear in the length.

    The softmax is accumulated over blocks of keys (Milakov & Gimelshein 2018, alg. 3; Rabe & Staats
    2021); the gradient recomputes a block's weights from each row's largest score and sum (Dao et
    al. 2022, alg. 4). Scores and all sums are in float32 or wider. A query whose keys are all
    masked weighs them equally (causal: those of its past), and gives no gradient to q and k.
    Second derivatives are computed block by block too; forward-mode derivatives: see
    `derivatives.plain_derivatives`.

    Args:
        q: queries [batch, heads, queries, d].
        k: keys [batch, groups, keys, d], dtype of `q`; `groups` divides `heads`, and where there
            are fewer, each is read by heads / groups heads in order, without a copy for each.
        v: values [batch, groups, keys, d], dtype of `q`.
        mask: True where a key is visible, [batch, keys], or [batch or 1, queries, keys] where it
            differs between queries; None: all keys.
        causal: each query sees only its own position and those before; later blocks are skipped.
        block: number of queries and of keys in a block.

    Returns:
        Weighted values, shape and dtype of `q`.

    Raises:
        ValueError: `causal` with different numbers of queries and keys, a block below 1, or
            `groups` does not divide `heads`.

    Source: Vaswani et al. 2017, eq. 1, computed as described above.
    """
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(
            f"causal attention needs as many queries as keys, not {q.shape[2]} and {k.shape[2]}"
        )
    if block < 1:
        raise ValueError(f"a block of {block} tokens: it needs at least one")
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"{k.shape[1]} groups of keys cannot be shared by {q.shape[1]} heads")
    if plain_derivatives.value:
        return _plain(q, k, v, mask, causal, block)
    return _attend(q, k, v, mask, causal, block)[0]


class _Blocks(NamedTuple):
    """The arrays, split into blocks along a first axis.

    The queries of the heads that share a group of keys are below one another.
    """

    q: Array  # [blocks, batch, groups, heads of a group * rows, d]
    k: Array  # [blocks, batch, groups, columns, d]
    v: Array
    heads: int  # of a group
    mask: Array | None  # [blocks of queries or 1, blocks of keys, batch, rows or 1, columns]
    length: int  # number of keys; the last block is filled up with zeros
    causal: bool

    def scores(self, i: Array, j: Array, q: Array) -> Array:
        """Scores of query block i, `q`, and key block j: [batch, groups, heads * rows, columns].

        -inf where the key is in the future of a causal query or beyond the last key.
        """
        rows, columns = self.q.shape[3] // self.heads, self.k.shape[3]
        acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
        scores = jnp.einsum(
            "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, self.k[j], preferred_element_type=acc_dtype
        )
        if self.mask is not None:
            mask = self.mask[i if self.mask.shape[0] > 1 else 0, j]
            mask = jnp.tile(mask, (1, self.heads if mask.shape[1] > 1 else 1, 1))
            scores = jnp.where(mask[:, None], scores, NEVER)
        key = j * columns + jnp.arange(columns)[None]
        if self.causal:
            past = key <= i * rows + jnp.tile(jnp.arange(rows), self.heads)[:, None]
            scores = jnp.where(past[None, None], scores, -jnp.inf)
        elif self.length % columns:
            scores = jnp.where((key < self.length)[None, None], scores, -jnp.inf)
        return scores

    def last(self, i: Array) -> Array | int:
        """Number of key blocks that query block i attends to."""
        return i + 1 if self.causal else len(self.k)


def _split(x: Array, size: int, axis: int = 2) -> Array:
    """Splits an axis into blocks along a new first axis, padding the last block with zeros."""
    count = -(-x.shape[axis] // size)
    if count * size > x.shape[axis]:
        padding = [(0, 0)] * x.ndim
        padding[axis] = (0, count * size - x.shape[axis])
        x = jnp.pad(x, padding)
    return jnp.moveaxis(x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :]), axis, 0)


def _grouped(x: Array, rows: int, groups: int) -> Array:
    """Splits queries [batch, heads, queries, d] into blocks, as `_Blocks.q` has them."""
    x = _split(x, rows)
    return x.reshape(*x.shape[:2], groups, -1, x.shape[-1])


def _ungrouped(x: Array, heads: int, length: int) -> Array:
    """Undoes `_grouped`."""
    return _joined(x.reshape(*x.shape[:2], heads, -1, x.shape[-1]), length)


def _joined(x: Array, length: int) -> Array:
    """Undoes `_split` along axis 2."""
    return jnp.moveaxis(x, 0, 2).reshape(*x.shape[1:3], -1, x.shape[-1])[:, :, :length]


def _blocks(q: Array, k: Array, v: Array, mask: Array | None, causal: bool, block: int) -> _Blocks:
    rows, columns = min(block, q.shape[2]), min(block, k.shape[2])
    if mask is not None:
        # [columns, batch, queries or 1, columns]
        mask = _split(mask[:, None] if mask.ndim == 2 else mask, columns)
        mask = _split(mask, rows if mask.shape[2] > 1 else 1)
    groups = k.shape[1]
    parts = _grouped(q, rows, groups), _split(k, columns), _split(v, columns)
    return _Blocks(*parts, q.shape[1] // groups, mask, k.shape[2], causal)


def _run(
    q: Array, k: Array, v: Array, mask: Array | None, causal: bool, block: int, skip: bool
) -> tuple[Array, Array, Array]:
    """The output; in blocks of queries, each row's largest score and the inverse of its sum.

    `skip` leaves out the key blocks in the future of causal queries. Without it every loop has a
    fixed number of iterations, as JAX requires for reverse mode, and a block's weights are
    recomputed for the derivative.
    """
    b = _blocks(q, k, v, mask, causal, block)
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)

    def query_block(x: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        i, q_i = x

        def add_key_block(
            j: Array, carry: tuple[Array, Array, Array]
        ) -> tuple[Array, Array, Array]:
            top, total, out = carry
            scores = b.scores(i, j, q_i)
            # the result does not depend on the shift by the maximum
            new_top = jax.lax.stop_gradient(jnp.maximum(top, scores.max(-1, keepdims=True)))
            e, rescale = jnp.exp(scores - new_top), jnp.exp(top - new_top)
            part = jnp.einsum(
                "bhqk,bhkd->bhqd", e.astype(q.dtype), b.v[j], preferred_element_type=acc_dtype
            )
            return new_top, total * rescale + e.sum(-1, keepdims=True), out * rescale + part

        zeros = jnp.zeros((*q_i.shape[:-1], 1), acc_dtype)
        last, step = (
            (b.last(i), add_key_block) if skip else (len(b.k), jax.checkpoint(add_key_block))
        )
        start = (zeros + NEVER, zeros, jnp.zeros(q_i.shape, acc_dtype))
        top, total, out = jax.lax.fori_loop(0, last, step, start)
        return (out / total).astype(q.dtype), top, 1 / total

    out, top, inverse = jax.lax.map(query_block, (jnp.arange(len(b.q)), b.q))
    return _ungrouped(out, q.shape[1], q.shape[2]), top, inverse


def _plain(q: Array, k: Array, v: Array, mask: Array | None, causal: bool, block: int) -> Array:
    """The output, differentiable by JAX in any mode and to any order."""
    return _run(q, k, v, mask, causal, block, False)[0]


Results = tuple[Array, Array, Array]
Saved = tuple[Array, Array, Array, Array | None, Array, Array, Array]  # inputs and results
SecondSaved = tuple[Array, Array, Array, Array | None, Array, Array, Array, Array]


def _second_forward(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    out: Array,
    top: Array,
    inverse: Array,
    dout: Array,
    causal: bool,
    block: int,
) -> tuple[Results, SecondSaved]:
    gradients = _gradients(q, k, v, mask, out, top, inverse, dout, causal, block)
    return gradients, (q, k, v, mask, out, top, inverse, dout)


def _second_backward(
    causal: bool, block: int, saved: SecondSaved, slopes: Results
) -> tuple[Array | None, ...]:
    """The derivative of `_gradients`.

    It includes the dependence of out, top and inverse on q, k and v, so these get zeros.
    """
    q, k, v, mask, out, top, inverse, dout = saved

    def gradients(q: Array, k: Array, v: Array, dout: Array) -> tuple[Array, ...]:
        return jax.vjp(lambda q, k, v: _plain(q, k, v, mask, causal, block), q, k, v)[1](dout)

    *by_inputs, by_dout = jax.vjp(gradients, q, k, v, dout)[1](slopes)
    return *by_inputs, None, *(jnp.zeros_like(x) for x in (out, top, inverse)), by_dout


@with_backward(_second_forward, _second_backward, nondiff_argnums=(8, 9))
def _gradients(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    out: Array,
    top: Array,
    inverse: Array,
    dout: Array,
    causal: bool,
    block: int,
) -> tuple[Array, Array, Array]:
    """Gradients by q, k and v, from the gradient `dout` by the output."""
    b = _blocks(q, k, v, mask, causal, block)
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
    # sum over keys of weight times its gradient
    mean = (dout.astype(acc_dtype) * out.astype(acc_dtype)).sum(-1, keepdims=True)

    def query_block(
        sums: tuple[Array, Array], x: tuple[Array, ...]
    ) -> tuple[tuple[Array, Array], Array]:
        i, q_i, do, mean, top, inverse = x
        # the weights of a query whose keys are all masked depend on nothing
        scale = jnp.where(top > NEVER, q_i.shape[-1] ** -0.5, 0)

        def add_key_block(
            j: Array, carry: tuple[Array, Array, Array]
        ) -> tuple[Array, Array, Array]:
            dq, dk, dv = carry
            p = jnp.exp(b.scores(i, j, q_i) - top) * inverse
            dp = jnp.einsum("bhqd,bhkd->bhqk", do, b.v[j], preferred_element_type=acc_dtype)
            ds = (p * (dp - mean) * scale).astype(q.dtype)
            dq = dq + jnp.einsum("bhqk,bhkd->bhqd", ds, b.k[j], preferred_element_type=acc_dtype)
            dk_j = jnp.einsum("bhqk,bhqd->bhkd", ds, q_i, preferred_element_type=acc_dtype)
            dk = dk.at[j].add(dk_j)
            dv_j = jnp.einsum(
                "bhqk,bhqd->bhkd", p.astype(q.dtype), do, preferred_element_type=acc_dtype
            )
            return dq, dk, dv.at[j].add(dv_j)

        last = b.last(i)
        start = (jnp.zeros(q_i.shape, acc_dtype), *sums)
        dq, dk, dv = jax.lax.fori_loop(0, last, add_key_block, start)
        return (dk, dv), dq.astype(q.dtype)

    size, groups = b.q.shape[3] // b.heads, k.shape[1]
    zeros = jnp.zeros(b.k.shape, acc_dtype), jnp.zeros(b.v.shape, acc_dtype)
    grouped = _grouped(dout, size, groups), _grouped(mean, size, groups)
    blocks = (jnp.arange(len(b.q)), b.q, *grouped, top, inverse)
    (dk, dv), dq = jax.lax.scan(query_block, zeros, blocks)
    length = k.shape[2]
    return (
        _ungrouped(dq, q.shape[1], q.shape[2]),
        _joined(dk, length).astype(k.dtype),
        _joined(dv, length).astype(v.dtype),
    )


def _forward(
    q: Array, k: Array, v: Array, mask: Array | None, causal: bool, block: int
) -> tuple[Results, Saved]:
    results = _attend(q, k, v, mask, causal, block)
    return results, (q, k, v, mask, *results)


def _backward(
    causal: bool, block: int, saved: Saved, slopes: Results
) -> tuple[Array, Array, Array, None]:
    q, k, v, mask, out, top, inverse = saved
    return *_gradients(q, k, v, mask, out, top, inverse, slopes[0], causal, block), None


@with_backward(_forward, _backward, nondiff_argnums=(4, 5))
def _attend(q: Array, k: Array, v: Array, mask: Array | None, causal: bool, block: int) -> Results:
    return _run(q, k, v, mask, causal, block, True)
