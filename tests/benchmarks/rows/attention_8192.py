"""Causal attention over 8,192 tokens, forward and gradients: 2 texts, 1 head of width 64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: number of heads, width of a head, tokens of a text, texts in a batch."""

    heads: int = 1
    d: int = 64
    length: int = 8192
    batch: int = 2


FULL, TINY = Size(), Size(2, 8, 12, 2)


def given(size: Size) -> np.ndarray:
    """Draws queries, keys and values, float32 [batch, 3, heads, length, d]."""
    return (
        np.random.default_rng(0)
        .normal(size=(size.batch, 3, size.heads, size.length, size.d))
        .astype(np.float32)
    )


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.attention.causal_attention`."""
    from dlcore.kernels.attention import causal_attention
    from tests.benchmarks import ours

    return ours.slope(
        lambda x: (causal_attention(x[:, 0], x[:, 1], x[:, 2]) ** 2).mean(), given(size)
    )


def flax(size: Size) -> Any:
    """Returns the step with `nn.dot_product_attention`."""
    import flax.linen as nn
    import jax.numpy as jnp

    from tests.benchmarks import flaxed

    def loss(x: Any) -> Any:
        q, k, v = (x[:, i].swapaxes(1, 2) for i in range(3))
        return (
            nn.dot_product_attention(q, k, v, mask=nn.make_causal_mask(jnp.ones(q.shape[:2]))) ** 2
        ).mean()

    return flaxed.slope(loss, given(size))


def torch(size: Size) -> Any:
    """`F.scaled_dot_product_attention`, eager, which on CPU computes by blocks too."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    def loss(x: Any) -> Any:
        return (
            f.scaled_dot_product_attention(x[:, 0], x[:, 1], x[:, 2], is_causal=True) ** 2
        ).mean()

    return torched.slope(loss, pt.tensor(given(size)))
