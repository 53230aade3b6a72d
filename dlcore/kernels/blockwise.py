"""Attention over long sequences, block by block: no array of queries times keys exists, in either
direction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import plain_derivatives, with_backward

BLOCK = 512  # queries and keys that meet at once
# the score of a key that is not seen; finite, so that a query that sees none weighs all alike
NEVER = -1e30


def blockwise_attention(
    q: Array,
    k: Array,
    v: Array,
    seen: Array | None = None,
    *,
    causal: bool = False,
    block: int = BLOCK,
) -> Array:
    """softmax(q k^T / sqrt(d), over the keys that are seen) v, with memory linear in the length.

    q [batch, heads, new, d], k and v [batch, heads, length, d] of one dtype; `seen` bool [batch,
    length] or [batch, new, length], None for all keys; `causal` (new = length) shows each query its
    own place and those before, and skips the other blocks. Output like q. The softmax is built up
    over blocks of keys (Milakov & Gimelshein 2018, alg. 3; Rabe & Staats 2021); the gradient makes
    a block's weights again from the row's largest score and sum (Dao et al. 2022, alg. 4). Scores
    and all sums in float32 at least. Where no key is seen all weigh the same (causal: all of the
    past), and q and k have no gradient. Second derivatives too are made block by block; forward
    mode: `derivatives.plain_derivatives`. ValueError: `causal` with fewer queries than keys, or a
    block below 1.
    """
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(
            f"causal attention wants as many queries as keys, not {q.shape[2]} and {k.shape[2]}"
        )
    if block < 1:
        raise ValueError(f"a block of {block} tokens")
    return (
        _plain(q, k, v, seen, causal, block)
        if plain_derivatives.value
        else _attend(q, k, v, seen, causal, block)[0]
    )


class _Blocks(NamedTuple):
    """The arrays in blocks: the number of the block first."""

    q: Array  # [blocks, batch, heads, rows, d]
    k: Array
    v: Array
    seen: Array | None  # [blocks of queries or 1, blocks of keys, batch, rows or 1, columns]
    length: int  # keys; what comes after them fills the last block
    causal: bool

    def scores(self, i: Array, j: Array, q: Array) -> Array:
        """What queries i and keys j make of each other, [batch, heads, rows, columns]: -inf where
        there is no such pair.
        """
        rows, columns = self.q.shape[3], self.k.shape[3]
        acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
        found = jnp.einsum(
            "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, self.k[j], preferred_element_type=acc_dtype
        )
        if self.seen is not None:
            found = jnp.where(
                self.seen[i if self.seen.shape[0] > 1 else 0, j][:, None], found, NEVER
            )
        key = j * columns + jnp.arange(columns)[None]
        if self.causal:
            found = jnp.where(
                (key <= i * rows + jnp.arange(rows)[:, None])[None, None], found, -jnp.inf
            )
        elif self.length % columns:
            found = jnp.where((key < self.length)[None, None], found, -jnp.inf)
        return found

    def last(self, i: Array) -> Array | int:
        """How many blocks of keys queries i look at."""
        return i + 1 if self.causal else len(self.k)


def _split(x: Array, size: int, axis: int = 2) -> Array:
    """Blocks along an axis, which becomes the first: the last one filled up with zeros."""
    count = -(-x.shape[axis] // size)
    if count * size > x.shape[axis]:
        x = jnp.pad(x, [(0, count * size - n if a == axis else 0) for a, n in enumerate(x.shape)])
    return jnp.moveaxis(x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :]), axis, 0)


def _joined(x: Array, length: int) -> Array:
    """Undo `_split` of axis 2."""
    return jnp.moveaxis(x, 0, 2).reshape(*x.shape[1:3], -1, x.shape[-1])[:, :, :length]


def _blocks(q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int) -> _Blocks:
    rows, columns = min(block, q.shape[2]), min(block, k.shape[2])
    if seen is not None:
        # [columns, batch, new or 1, columns]
        seen = _split(seen[:, None] if seen.ndim == 2 else seen, columns)
        seen = _split(seen, rows if seen.shape[2] > 1 else 1)
    return _Blocks(
        _split(q, rows), _split(k, columns), _split(v, columns), seen, k.shape[2], causal
    )


def _run(
    q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int, skip: bool
) -> tuple[Array, Array, Array]:
    """The output, and in blocks of rows the largest score of each and one over its sum.

    `skip` leaves out the blocks of keys that causal queries do not see; without it every loop has a
    known number of turns, which is what JAX wants for reverse mode, and a block's weights are made
    again for its derivative.
    """
    b, acc_dtype = _blocks(q, k, v, seen, causal, block), jnp.promote_types(q.dtype, jnp.float32)

    def rows(x: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        i, own = x

        def meet(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            top, total, out = carry
            scores = b.scores(i, j, own)
            # no result depends on it
            above = jax.lax.stop_gradient(jnp.maximum(top, scores.max(-1, keepdims=True)))
            e, shrink = jnp.exp(scores - above), jnp.exp(top - above)
            part = jnp.einsum(
                "bhqk,bhkd->bhqd", e.astype(q.dtype), b.v[j], preferred_element_type=acc_dtype
            )
            return above, total * shrink + e.sum(-1, keepdims=True), out * shrink + part

        none = jnp.zeros((*own.shape[:-1], 1), acc_dtype)
        last, step = (b.last(i), meet) if skip else (len(b.k), jax.checkpoint(meet))
        top, total, out = jax.lax.fori_loop(
            0, last, step, (none + NEVER, none, jnp.zeros(own.shape, acc_dtype))
        )
        return (out / total).astype(q.dtype), top, 1 / total

    out, top, share = jax.lax.map(rows, (jnp.arange(len(b.q)), b.q))
    return _joined(out, q.shape[2]), top, share


def _plain(q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int) -> Array:
    """The output, differentiable by JAX in any mode and to any order."""
    return _run(q, k, v, seen, causal, block, False)[0]


def _second_forward(*x: Any) -> tuple[tuple[Array, Array, Array], tuple[Any, ...]]:
    return _gradients(*x), x[:-2]


def _second_backward(
    causal: bool, block: int, saved: tuple[Any, ...], slopes: Any
) -> tuple[Any, ...]:
    """The derivative of `_gradients`. That out, top and share are functions of q, k and v is
    counted with these.
    """
    q, k, v, seen, out, top, share, slope = saved

    def gradients(q: Array, k: Array, v: Array, slope: Array) -> Any:
        return jax.vjp(lambda q, k, v: _plain(q, k, v, seen, causal, block), q, k, v)[1](slope)

    *of_input, of_slope = jax.vjp(gradients, q, k, v, slope)[1](slopes)
    return *of_input, None, *(jnp.zeros_like(x) for x in (out, top, share)), of_slope


@with_backward(_second_forward, _second_backward, nondiff_argnums=(8, 9))
def _gradients(
    q: Array,
    k: Array,
    v: Array,
    seen: Array | None,
    out: Array,
    top: Array,
    share: Array,
    slope: Array,
    causal: bool,
    block: int,
) -> tuple[Array, Array, Array]:
    """What `slope` of the output is to q, k and v."""
    b, acc_dtype = _blocks(q, k, v, seen, causal, block), jnp.promote_types(q.dtype, jnp.float32)
    of_row = (slope.astype(acc_dtype) * out.astype(acc_dtype)).sum(
        -1, keepdims=True
    )  # sum over keys of weight times its gradient

    def rows(sums: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        i, own, do, mean, top, share = x
        # a query that sees no key has weights that depend on nothing
        some = jnp.where(top > NEVER, own.shape[-1] ** -0.5, 0)

        def meet(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            dq, dk, dv = carry
            p = jnp.exp(b.scores(i, j, own) - top) * share
            dp = jnp.einsum("bhqd,bhkd->bhqk", do, b.v[j], preferred_element_type=acc_dtype)
            ds = (p * (dp - mean) * some).astype(q.dtype)
            dq = dq + jnp.einsum("bhqk,bhkd->bhqd", ds, b.k[j], preferred_element_type=acc_dtype)
            dk = dk.at[j].add(
                jnp.einsum("bhqk,bhqd->bhkd", ds, own, preferred_element_type=acc_dtype)
            )
            dv = dv.at[j].add(
                jnp.einsum(
                    "bhqk,bhqd->bhkd", p.astype(q.dtype), do, preferred_element_type=acc_dtype
                )
            )
            return dq, dk, dv

        dq, dk, dv = jax.lax.fori_loop(0, b.last(i), meet, (jnp.zeros(own.shape, acc_dtype), *sums))
        return (dk, dv), dq.astype(q.dtype)

    size = b.q.shape[3]
    zeros = jnp.zeros(b.k.shape, acc_dtype), jnp.zeros(b.v.shape, acc_dtype)
    given = (jnp.arange(len(b.q)), b.q, _split(slope, size), _split(of_row, size), top, share)
    (dk, dv), dq = jax.lax.scan(rows, zeros, given)
    length = k.shape[2]
    return (
        _joined(dq, q.shape[2]),
        _joined(dk, length).astype(k.dtype),
        _joined(dv, length).astype(v.dtype),
    )


def _forward(
    q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int
) -> tuple[Any, tuple[Any, ...]]:
    found = _attend(q, k, v, seen, causal, block)
    return found, (q, k, v, seen, *found)


def _backward(
    causal: bool, block: int, saved: tuple[Any, ...], slopes: Any
) -> tuple[Array, Array, Array, None]:
    q, k, v, seen, out, top, share = saved
    return *_gradients(q, k, v, seen, out, top, share, slopes[0], causal, block), None


@with_backward(_forward, _backward, nondiff_argnums=(4, 5))
def _attend(
    q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int
) -> tuple[Array, Array, Array]:
    return _run(q, k, v, seen, causal, block, True)
