"""Attention for training, causal or over what a mask shows, with a hand-written gradient; and of
new tokens against a cache.

`impl` says how it is computed; the results agree within rounding. `auto` looks at the shapes and
the device, while tracing:

| chosen      | where                                                       | why
              |
|-------------|-------------------------------------------------------------|-------------------------------------------------------------|
| `cudnn`     | NVIDIA GPU, float16 or bfloat16, no mask, heads of up to    | fused; nothing of the
              length's square is written            |
|             | 128 numbers, a multiple of 8                                |
              |
| `blockwise` | otherwise, from 1,024 queries and keys                      | memory linear in the
length; causal on CPU 0.75 of plain's  | |             |
                                       | time, at 2,048 half of it
                                       |
| `plain`     | otherwise                                                   | fewest passes over
              what then fits a processor's cache       |

cuDNN takes a mask only as a bias of queries times keys, and no float32. Forward mode (`jax.jvp`,
`jax.hessian`): inside `derivatives.plain_derivatives`, but not through cuDNN.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels.blockwise import blockwise_attention
from dlcore.kernels.derivatives import with_backward
from dlcore.kernels.rows import row_sum

Impl = Literal["auto", "plain", "blockwise", "cudnn"]
LONG = 1024  # queries and keys from which on blocks are faster
NEVER = -1e30  # a score that softmax turns into 0; finite, so that no NaN arises from it


def causal_attention(q: Array, k: Array, v: Array, *, impl: Impl = "auto") -> Array:
    """softmax(q k^T / sqrt(d), over the past) v (Vaswani et al. 2017, eq. 1).

    q, k, v [batch, heads, length, d] of one dtype; output like q. Scores and softmax in float32 at
    least.
    """
    chosen = _chosen(impl, q, k, None)
    if chosen == "blockwise":
        return blockwise_attention(q, k, v, causal=True)
    return _cudnn(q, k, v, True) if chosen == "cudnn" else _causal_attention(q, k, v)


def attention(
    q: Array, k: Array, v: Array, seen: Array | None = None, *, impl: Impl = "auto"
) -> Array:
    """softmax(q k^T / sqrt(d), over the keys that are seen) v (Vaswani et al. 2017, eq. 1).

    q [batch, heads, new, d], k and v [batch, heads, length, d] of one dtype; `seen` bool [batch,
    length], or [batch, new, length] where queries see different keys (packed rows), None for all
    keys. Output like q. Scores and softmax in float32 at least. Where no key is seen, all weigh the
    same: a row of padding stays finite. ValueError: a mask for cuDNN.
    """
    chosen = _chosen(impl, q, k, seen)
    if chosen == "blockwise":
        return blockwise_attention(q, k, v, seen)
    if chosen == "cudnn" and seen is not None:
        raise ValueError(
            "cuDNN would write a mask out as a bias of queries times keys: leave impl to auto"
        )
    return _cudnn(q, k, v, False) if chosen == "cudnn" else _attention(q, k, v, seen)


def _chosen(impl: Impl, q: Array, k: Array, seen: Array | None) -> Impl:
    """What is run where: the table at the top."""
    if impl != "auto":
        return impl
    half, d = q.dtype in (jnp.bfloat16, jnp.float16), q.shape[-1]
    if seen is None and half and d <= 128 and d % 8 == 0 and _nvidia():
        return "cudnn"
    return "blockwise" if min(q.shape[2], k.shape[2]) >= LONG else "plain"


def _nvidia() -> bool:
    return (
        jax.default_backend() == "gpu"
        and "cuda" in jax.devices()[0].client.platform_version.lower()
    )


def _cudnn(q: Array, k: Array, v: Array, causal: bool) -> Array:
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    return jax.nn.dot_product_attention(q, k, v, is_causal=causal, implementation="cudnn").swapaxes(
        1, 2
    )


def _forward(q: Array, k: Array, v: Array, seen: Array | None) -> tuple[Array, tuple[Array, ...]]:
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum(
        "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=acc_dtype
    )
    if seen is not None:
        scores = jnp.where(seen, scores, NEVER)
    e = jnp.exp(scores - scores.max(-1, keepdims=True))
    p = (e * (1 / row_sum(e))).astype(q.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", p, v), (q, k, v, p)


def _causal(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    return _forward(q, k, v, jnp.tril(jnp.ones((q.shape[-2],) * 2, bool))[None, None])


def _backward(
    saved: tuple[Array, ...], do: Array, some: Array | float = 1.0
) -> tuple[Array, Array, Array]:
    """Gradients by q, k and v; `some` is 0 for a query that sees no key, whose weights then depend
    on nothing.
    """
    q, k, v, p = saved
    dp = jnp.einsum("bhqd,bhkd->bhqk", do, v)
    t = dp * p
    ds = (t - p * row_sum(t)) * (q.shape[-1] ** -0.5 * some)
    dq = jnp.einsum("bhqk,bhkd->bhqd", ds, k)
    dk = jnp.einsum("bhqk,bhqd->bhkd", ds, q)
    return dq, dk, jnp.einsum("bhqk,bhqd->bhkd", p, do)


@with_backward(_causal, _backward)
def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    return _causal(q, k, v)[0]


def _shown(seen: Array | None) -> Array | None:
    """The mask as it meets the scores [batch, heads, new, length]."""
    return seen if seen is None else seen[:, None] if seen.ndim == 3 else seen[:, None, None]


def _attention_forward(
    q: Array, k: Array, v: Array, seen: Array | None
) -> tuple[Array, tuple[Any, ...]]:
    shown = _shown(seen)
    out, saved = _forward(q, k, v, shown)
    return out, (saved, 1.0 if shown is None else shown.any(-1, keepdims=True).astype(q.dtype))


@with_backward(_attention_forward, lambda saved, do: (*_backward(saved[0], do, saved[1]), None))
def _attention(q: Array, k: Array, v: Array, seen: Array | None) -> Array:
    return _forward(q, k, v, _shown(seen))[0]


def cached_attention(q: Array, k: Array, v: Array, position: Array) -> Array:
    """Attention of queries at `position`, `position` + 1, ... over a cache whose later places are
    still empty.

    q [batch, heads, new, d], k and v [batch, heads, length, d]; output like q. Place j is seen by
    query i if j <= position + i.
    """
    acc_dtype = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum(
        "bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=acc_dtype
    )
    seen = jnp.arange(k.shape[2])[None] <= position + jnp.arange(q.shape[2])[:, None]
    return jnp.einsum(
        "bhqk,bhkd->bhqd", jax.nn.softmax(jnp.where(seen, scores, NEVER), -1).astype(q.dtype), v
    )


def rotary(x: Array, position: Array | np.ndarray) -> Array:
    """Rotary positions (Su et al. 2021, eq. 34): pairs (x[i], x[i + d/2]) turned by position *
    10000^(-2i/d).

    x [..., length, d] with even d, position [length], or any shape that broadcasts to x's without
    d; dtype kept. Of a NumPy array the sines and cosines are computed while tracing: XLA would
    compute them anew for each row and head. Raises ValueError for odd d.
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"rotary positions turn pairs: a head of {d} numbers cannot be paired")
    acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
    a, b = x[..., : d // 2], x[..., d // 2 :]
    known = isinstance(position, np.ndarray)
    with jax.ensure_compile_time_eval() if known else contextlib.nullcontext():
        frequency = 10000 ** (-jnp.arange(0, d, 2, dtype=acc_dtype) / d)
        angle = position[..., None].astype(acc_dtype) * frequency.reshape(
            (1,) * position.ndim + (-1,)
        )
        turn = [f(angle).astype(x.dtype) for f in (jnp.cos, jnp.sin)]
    cos, sin = (jnp.broadcast_to(t, a.shape) for t in turn)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
