"""Attention for training, causal or masked, with a hand-written gradient; attention over a cache.

`impl` chooses the implementation; the results agree within rounding. While tracing, "auto" chooses
by the shapes and the device:

- "cudnn": NVIDIA GPU, float16 or bfloat16, no mask, head size at most 128 and a multiple of 8.
  Fused; writes no array of the size of queries times keys.
- "blockwise": otherwise, from 1,024 queries and keys on. Memory is linear in the length. On CPU,
  causal, it takes 0.75 of the time of "plain" at 1,024 tokens and half of it at 2,048.
- "plain": otherwise. Fewest passes over the scores, which then fit a processor's cache.

cuDNN takes a mask only as a bias of the size of queries times keys, and no float32. Forward-mode
derivatives (`jax.jvp`, `jax.hessian`) work inside `derivatives.plain_derivatives`, but not with
cuDNN.
"""

from __future__ import annotations

import contextlib
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Shaped

from dlcore.kernels.blockwise import blockwise_attention
from dlcore.kernels.derivatives import with_backward
from dlcore.kernels.grouped import grouped_attention
from dlcore.kernels.rows import row_sum

Impl = Literal["auto", "plain", "blockwise", "cudnn"]
LONG = 1024  # queries and keys from which on blocks are faster
NEVER = -1e30  # a score that softmax turns into 0; finite, so that no NaN arises from it


def causal_attention(
    q: Float[Array, "batch heads length d"],
    k: Float[Array, "batch groups length d"],
    v: Float[Array, "batch groups length d"],
    *,
    impl: Impl = "auto",
) -> Float[Array, "batch heads length d"]:
    """Computes causal attention, softmax(q k^T / sqrt(d)) v over each query's own and past keys.

    Args:
        q: queries [batch, heads, length, d].
        k: keys [batch, groups, length, d], dtype of `q`; `groups` divides `heads`, and where there
            are fewer, each is read by heads / groups heads in order, without a copy for each.
        v: values, shape and dtype of `k`.
        impl: the implementation; "auto": by shapes and device (see the module). Scores and softmax
            are in float32 or wider.

    Returns:
        Weighted values, shape and dtype of `q`.

    Raises:
        ValueError: `groups` does not divide `heads`.

    Source: Vaswani et al. 2017, eq. 1.
    """
    chosen, length = _chosen(impl, q, k, None), q.shape[2]
    if chosen == "blockwise":
        return blockwise_attention(q, k, v, causal=True)
    if chosen == "cudnn":
        return _cudnn(q, k, v, True)
    if k.shape[1] != q.shape[1]:
        return grouped_attention(q, k, v, jnp.tril(jnp.ones((length, length), bool))[None])
    return _causal_attention(q, k, v)


def attention(
    q: Float[Array, "batch heads queries d"],
    k: Float[Array, "batch groups keys d"],
    v: Float[Array, "batch groups keys d"],
    mask: Bool[Array, "batch keys"] | Bool[Array, "#batch queries keys"] | None = None,
    *,
    impl: Impl = "auto",
) -> Float[Array, "batch heads queries d"]:
    """Computes attention over the keys that a mask allows: softmax(q k^T / sqrt(d)) v.

    A query for which the mask allows no key weighs all keys equally, so that padding stays finite.

    Args:
        q: queries [batch, heads, queries, d].
        k: keys [batch, groups, keys, d], dtype of `q`; as of `causal_attention`.
        v: values [batch, groups, keys, d], dtype of `q`.
        mask: True where a key is visible, [batch, keys], or [batch or 1, queries, keys] where it
            differs between queries (packed rows); None: all keys.
        impl: the implementation; "auto": by shapes and device (see the module). Scores and softmax
            are in float32 or wider.

    Returns:
        Weighted values, shape and dtype of `q`.

    Raises:
        ValueError: a mask with `impl` "cudnn", or `groups` does not divide `heads`.

    Source: Vaswani et al. 2017, eq. 1.
    """
    chosen = _chosen(impl, q, k, mask)
    if chosen == "blockwise":
        return blockwise_attention(q, k, v, mask)
    if chosen == "cudnn" and mask is not None:
        raise ValueError(
            "cuDNN would write a mask out as a bias of queries times keys: leave impl to auto"
        )
    if chosen == "cudnn":
        return _cudnn(q, k, v, False)
    if k.shape[1] != q.shape[1]:
        visible = _broadcast_mask(mask)
        visible = jnp.ones((1, 1, 1), bool) if visible is None else visible[:, 0]
        shape = (len(visible), q.shape[2], k.shape[2])
        return grouped_attention(q, k, v, jnp.broadcast_to(visible, shape))
    return _attention(q, k, v, mask)


def _chosen(impl: Impl, q: Array, k: Array, mask: Array | None) -> Impl:
    """The implementation that `impl` stands for, by the rules at the top of this module."""
    if impl != "auto":
        return impl
    half = q.dtype in (jnp.bfloat16, jnp.float16)
    d = q.shape[-1]
    if mask is None and half and d <= 128 and d % 8 == 0 and _nvidia():
        return "cudnn"
    return "blockwise" if min(q.shape[2], k.shape[2]) >= LONG else "plain"


def _nvidia() -> bool:
    return (
        jax.default_backend() == "gpu"
        and "cuda" in jax.devices()[0].client.platform_version.lower()
    )


def _cudnn(q: Array, k: Array, v: Array, causal: bool) -> Array:
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal, implementation="cudnn")
    return y.swapaxes(1, 2)


def _forward(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, tuple[Array, ...]]:
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum(
        "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=acc_dtype
    )
    if mask is not None:
        scores = jnp.where(mask, scores, NEVER)
    e = jnp.exp(scores - scores.max(-1, keepdims=True))
    p = (e * (1 / row_sum(e))).astype(q.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", p, v), (q, k, v, p)


def _causal(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    return _forward(q, k, v, jnp.tril(jnp.ones((q.shape[-2],) * 2, bool))[None, None])


def _backward(
    saved: tuple[Array, ...], do: Array, has_key: Array | float = 1.0
) -> tuple[Array, Array, Array]:
    """Gradients by q, k and v.

    `has_key` is 0 for a query without a visible key, whose weights then depend on nothing.
    """
    q, k, v, p = saved
    dp = jnp.einsum("bhqd,bhkd->bhqk", do, v)
    t = dp * p
    ds = (t - p * row_sum(t)) * (q.shape[-1] ** -0.5 * has_key)
    dq = jnp.einsum("bhqk,bhkd->bhqd", ds, k)
    dk = jnp.einsum("bhqk,bhqd->bhkd", ds, q)
    return dq, dk, jnp.einsum("bhqk,bhqd->bhkd", p, do)


@with_backward(_causal, _backward)
def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    return _causal(q, k, v)[0]


def _broadcast_mask(mask: Array | None) -> Array | None:
    """The mask with axes that broadcast to the scores [batch, heads, queries, keys]."""
    if mask is None:
        return None
    return mask[:, None] if mask.ndim == 3 else mask[:, None, None]


Saved = tuple[tuple[Array, ...], Array | float]


def _attention_forward(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Saved]:
    visible = _broadcast_mask(mask)
    out, saved = _forward(q, k, v, visible)
    has_key = 1.0 if visible is None else visible.any(-1, keepdims=True).astype(q.dtype)
    return out, (saved, has_key)


def _attention_backward(saved: Saved, do: Array) -> tuple[Array, Array, Array, None]:
    return *_backward(saved[0], do, saved[1]), None


@with_backward(_attention_forward, _attention_backward)
def _attention(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    return _forward(q, k, v, _broadcast_mask(mask))[0]


def cached_attention(
    q: Float[Array, "batch heads queries d"],
    k: Float[Array, "batch heads keys d"],
    v: Float[Array, "batch heads keys d"],
    position: Int[Array, ""] | int,
) -> Float[Array, "batch heads queries d"]:
    """Computes attention of consecutive queries over a cache, whose later positions are ignored.

    Query i is at `position` + i and attends to the keys at positions 0 to `position` + i, its own
    among them. Scores and softmax are in float32 or wider.

    Args:
        q: queries [batch, heads, queries, d].
        k: cached keys [batch, heads, keys, d], dtype of `q`.
        v: cached values [batch, heads, keys, d], dtype of `q`.
        position: the position of the first query, an integer scalar from 0 to keys - queries.

    Returns:
        Weighted values, shape and dtype of `q`.

    Source: Vaswani et al. 2017, eq. 1.
    """
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum(
        "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=acc_dtype
    )
    visible = jnp.arange(k.shape[2])[None] <= position + jnp.arange(q.shape[2])[:, None]
    weights = jax.nn.softmax(jnp.where(visible, scores, NEVER), -1).astype(q.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", weights, v)


def rotary(
    x: Float[Array, "*batch length d"],
    position: Shaped[Array, " ..."] | Shaped[np.ndarray, " ..."],
) -> Float[Array, "*batch length d"]:
    """Rotary position embedding: rotates (x[i], x[i + d/2]) by the angle position / 10000^(2i/d).

    Args:
        x: queries or keys [..., length, d], d even.
        position: positions [length], or any shape that broadcasts to that of `x` without d. For a
            NumPy array the sines and cosines are computed while tracing; otherwise XLA computes
            them anew for each row and head.

    Returns:
        Rotated queries or keys, shape and dtype of `x`.

    Raises:
        ValueError: d is odd.

    Source: Su et al. 2021, eq. 34, which pairs the features 2i and 2i + 1 instead.
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"rotary positions rotate pairs, and a head size of {d} is odd")
    acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
    a, b = x[..., : d // 2], x[..., d // 2 :]
    constant = isinstance(position, np.ndarray)
    with jax.ensure_compile_time_eval() if constant else contextlib.nullcontext():
        frequency = 10000 ** (-jnp.arange(0, d, 2, dtype=acc_dtype) / d)
        angle = position[..., None].astype(acc_dtype) * frequency.reshape(
            (1,) * position.ndim + (-1,)
        )
        cos_and_sin = [f(angle).astype(x.dtype) for f in (jnp.cos, jnp.sin)]
    cos, sin = (jnp.broadcast_to(t, a.shape) for t in cos_and_sin)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
