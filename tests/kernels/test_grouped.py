"""Heads that share keys and values: equal to heads with copies of them, capped and masked."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.attention import attention
from dlcore.kernels.grouped import grouped_attention
from tests.kernels.case import Case
from tests.kernels.test_attention import draw, softmax


def by_query(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, softcap: float = 0.0
) -> np.ndarray:
    """Query by query, over the keys that it sees; over all of them alike where it sees none."""
    out, shared = np.empty(q.shape), q.shape[1] // k.shape[1]
    for b, h, i in np.ndindex(q.shape[:3]):
        own = mask[b % len(mask), i]
        scores = k[b, h // shared] @ q[b, h, i] / np.sqrt(q.shape[-1])
        if softcap:
            scores = softcap * np.tanh(scores / softcap)
        weights = softmax(np.where(own, scores, -1e30))
        out[b, h, i] = weights @ v[b, h // shared]
    return out


def _arrays(heads: int, groups: int) -> Any:
    mask = np.random.default_rng(3).random((2, 3, 5)) < 0.6
    mask[0, 1] = False  # a query that sees nothing

    def arrays(generator: np.random.Generator) -> tuple[Any, ...]:
        q = generator.standard_normal((2, heads, 3, 4))
        return (q, *(generator.standard_normal((2, groups, 5, 4)) for _ in "kv"), mask)

    return arrays


def _case(heads: int, groups: int, softcap: float = 0.0) -> Case:
    return Case(
        lambda q, k, v, mask: grouped_attention(q, k, v, mask, softcap),
        lambda q, k, v, mask: by_query(q, k, v, mask, softcap),
        _arrays(heads, groups),
        grads=(0, 1, 2),
        batched=(0, 1, 2, 3),
    )


CASES = {
    "grouped_attention": _case(4, 2),
    "grouped_attention:one group": _case(3, 1),
    "grouped_attention:soft cap": _case(4, 2, 0.7),
}


@pytest.mark.slow
def test_it_equals_attention_over_repeated_keys() -> None:
    q, (k, v) = draw(0, 2, 6, 4, 8), draw(1, 2, 2, 3, 5, 8)
    mask = jnp.asarray(np.random.default_rng(0).random((2, 4, 5)) < 0.7)
    repeated = (jnp.repeat(t, 2, 1) for t in (k, v))
    np.testing.assert_allclose(
        grouped_attention(q, k, v, mask), attention(q, *repeated, mask), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_groups_that_do_not_divide_the_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="2 groups of keys cannot be shared by 3 heads"):
        grouped_attention(draw(0, 1, 3, 2, 4), *draw(1, 2, 1, 2, 2, 4), jnp.ones((1, 2, 2), bool))
