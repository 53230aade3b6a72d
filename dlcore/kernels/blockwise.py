"""Attention over long sequences, block by block: no array of queries times keys exists, in either direction."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

BLOCK = 512  # queries and keys that meet at once
NEVER = -1e30  # the score of a key that is not seen; finite, so that a query that sees none weighs all alike


def blockwise_attention(
    q: Array, k: Array, v: Array, seen: Array | None = None, *, causal: bool = False, block: int = BLOCK
) -> Array:
    """softmax(q k^T / sqrt(d), over the keys that are seen) v, with memory linear in the length.

    q [batch, heads, new, d], k and v [batch, heads, length, d] of one dtype; `seen` bool [batch, length] or [batch, new, length],
    None for all keys; `causal` (new = length) shows each query its own place and those before, and skips the other blocks. Output
    like q. The softmax is built up over blocks of keys (Milakov & Gimelshein 2018, alg. 3; Rabe & Staats 2021); the gradient makes
    a block's weights again from the row's largest score and sum (Dao et al. 2022, alg. 4). Scores and all sums in float32 at least.
    Where no key is seen all weigh the same (causal: all of the past), and q and k have no gradient.
    ValueError: `causal` with fewer queries than keys, or a block below 1.
    """
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(f"causal attention wants as many queries as keys, not {q.shape[2]} and {k.shape[2]}")
    if block < 1:
        raise ValueError(f"a block of {block} tokens")
    return _attend(q, k, v, seen, causal, block)


class _Blocks(NamedTuple):
    """The arrays in blocks: the number of the block first."""

    q: Array  # [blocks, batch, heads, rows, d]
    k: Array
    v: Array
    seen: Array | None  # [blocks of queries or 1, blocks of keys, batch, rows or 1, columns]
    length: int  # keys; what comes after them fills the last block
    causal: bool

    def scores(self, i: Array, j: Array, q: Array) -> Array:
        """What queries i and keys j make of each other, [batch, heads, rows, columns]: -inf where there is no such pair."""
        rows, columns = self.q.shape[3], self.k.shape[3]
        wide = jnp.promote_types(q.dtype, jnp.float32)
        found = jnp.einsum("bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, self.k[j], preferred_element_type=wide)
        if self.seen is not None:
            found = jnp.where(self.seen[i if self.seen.shape[0] > 1 else 0, j][:, None], found, NEVER)
        key = j * columns + jnp.arange(columns)[None]
        if self.causal:
            found = jnp.where((key <= i * rows + jnp.arange(rows)[:, None])[None, None], found, -jnp.inf)
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
        seen = _split(seen[:, None] if seen.ndim == 2 else seen, columns)  # [columns, batch, new or 1, columns]
        seen = _split(seen, rows if seen.shape[2] > 1 else 1)
    return _Blocks(_split(q, rows), _split(k, columns), _split(v, columns), seen, k.shape[2], causal)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _attend(q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int) -> Array:
    return _forward(q, k, v, seen, causal, block)[0]


def _forward(q: Array, k: Array, v: Array, seen: Array | None, causal: bool, block: int) -> tuple[Array, tuple[Any, ...]]:
    b, wide = _blocks(q, k, v, seen, causal, block), jnp.promote_types(q.dtype, jnp.float32)

    def rows(x: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        i, own = x

        def meet(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            top, total, out = carry
            scores = b.scores(i, j, own)
            above = jnp.maximum(top, scores.max(-1, keepdims=True))
            e, shrink = jnp.exp(scores - above), jnp.exp(top - above)
            part = jnp.einsum("bhqk,bhkd->bhqd", e.astype(q.dtype), b.v[j], preferred_element_type=wide)
            return above, total * shrink + e.sum(-1, keepdims=True), out * shrink + part

        none = jnp.zeros((*own.shape[:-1], 1), wide)
        top, total, out = jax.lax.fori_loop(0, b.last(i), meet, (none + NEVER, none, jnp.zeros(own.shape, wide)))
        return (out / total).astype(q.dtype), top, 1 / total

    out, top, share = jax.lax.map(rows, (jnp.arange(len(b.q)), b.q))
    out = _joined(out, q.shape[2])
    return out, (q, k, v, seen, out, top, share)


def _backward(causal: bool, block: int, saved: tuple[Any, ...], slope: Array) -> tuple[Array, Array, Array, None]:
    q, k, v, seen, out, top, share = saved
    b, wide = _blocks(q, k, v, seen, causal, block), jnp.promote_types(q.dtype, jnp.float32)
    of_row = (slope.astype(wide) * out.astype(wide)).sum(-1, keepdims=True)  # sum over keys of weight times its gradient

    def rows(sums: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        i, own, do, mean, top, share = x
        some = jnp.where(top > NEVER, own.shape[-1] ** -0.5, 0)  # a query that sees no key has weights that depend on nothing

        def meet(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            dq, dk, dv = carry
            p = jnp.exp(b.scores(i, j, own) - top) * share
            dp = jnp.einsum("bhqd,bhkd->bhqk", do, b.v[j], preferred_element_type=wide)
            ds = (p * (dp - mean) * some).astype(q.dtype)
            dq = dq + jnp.einsum("bhqk,bhkd->bhqd", ds, b.k[j], preferred_element_type=wide)
            dk = dk.at[j].add(jnp.einsum("bhqk,bhqd->bhkd", ds, own, preferred_element_type=wide))
            dv = dv.at[j].add(jnp.einsum("bhqk,bhqd->bhkd", p.astype(q.dtype), do, preferred_element_type=wide))
            return dq, dk, dv

        dq, dk, dv = jax.lax.fori_loop(0, b.last(i), meet, (jnp.zeros(own.shape, wide), *sums))
        return (dk, dv), dq.astype(q.dtype)

    size = b.q.shape[3]
    zeros = jnp.zeros(b.k.shape, wide), jnp.zeros(b.v.shape, wide)
    given = (jnp.arange(len(b.q)), b.q, _split(slope, size), _split(of_row, size), top, share)
    (dk, dv), dq = jax.lax.scan(rows, zeros, given)
    length = k.shape[2]
    return _joined(dq, q.shape[2]), _joined(dk, length).astype(k.dtype), _joined(dv, length).astype(v.dtype), None


_attend.defvjp(_forward, _backward)
