"""Beam search over any model that continues token by token, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

# (tokens [batch, beams], state, position) -> (logits [batch, beams, vocabulary], state); leaves of
# state [batch, beams, ...]
Step = Callable[[Array, Any, Array], tuple[Array, Any]]


def beam_search(
    step: Step, state: Any, first: Array, *, beams: int, length: int, end: int, penalty: float = 1.0
) -> tuple[Array, Array]:
    """The best continuations of `first` [batch], best first: int32 tokens [batch, beams, length],
    scores [batch, beams].

    A score is the sum of log-probabilities over ((5 + n) / 6)^penalty for n tokens, `end` among
    them (Wu et al. 2016, eq. 14). A hypothesis ends with `end`, where that is one of the `beams`
    best candidates of its step, or as it stands when `length` is reached. A search is over when
    `beams` of them have ended, so that one beam is the greedy choice. What follows `end` is `end`.
    Scores are float32 at least; of -inf: there are no more hypotheses. Raises ValueError unless
    beams and length are at least 1.
    """
    if beams < 1 or length < 1:
        raise ValueError(
            f"a search needs at least one beam and one token, not {beams} and {length}"
        )
    batch = first.shape[0]

    def worth(total: Array, tokens: Array | int) -> Array:
        return total / ((5.0 + tokens) / 6.0) ** penalty

    def pick(tree: Any, chosen: Array) -> Any:
        return jax.tree.map(lambda x: jax.vmap(lambda row, at: row[at])(x, chosen), tree)

    def best(scores: Array, count: int, tree: Any) -> tuple[Array, Any]:
        scores, chosen = jax.lax.top_k(scores, count)
        return scores, pick(tree, chosen)

    def going(carry: Any) -> Array:
        position, _, _, _, _, ended, _ = carry
        return (position < length) & ~jnp.isfinite(ended).all()

    def grow(carry: Any) -> Any:
        position, last, total, texts, state, ended, ended_texts = carry
        logits, state = step(last, state, position)
        logp = jax.nn.log_softmax(logits.astype(total.dtype), -1)
        width, vocabulary = min(2 * beams, beams * logp.shape[-1]), logp.shape[-1]
        over = jnp.isfinite(ended).all(1)[:, None]
        candidates, at = jax.lax.top_k((total[:, :, None] + logp).reshape(batch, -1), width)
        parent, token = at // vocabulary, at % vocabulary
        grown = jax.lax.dynamic_update_slice_in_dim(
            pick(texts, parent), token[:, :, None], position, 2
        )
        closes = token == end
        counts = closes & (jnp.arange(width)[None] < beams) & ~over
        fresh = jnp.where(counts, worth(candidates, position + 1), -jnp.inf)
        ended, ended_texts = best(
            jnp.concatenate([ended, fresh], 1), beams, jnp.concatenate([ended_texts, grown], 1)
        )
        total, (parent, last, texts) = best(
            jnp.where(closes, -jnp.inf, candidates), beams, (parent, token, grown)
        )
        return position + 1, last, total, texts, pick(state, parent), ended, ended_texts

    zero, last = jnp.zeros((), jnp.int32), jnp.tile(first[:, None].astype(jnp.int32), (1, beams))
    logits = jax.eval_shape(step, last, state, zero)[0]
    none = jnp.full((batch, beams), -jnp.inf, jnp.promote_types(logits.dtype, jnp.float32))
    # at first one hypothesis
    nothing, alone = jnp.full((batch, beams, length), end, jnp.int32), none.at[:, 0].set(0.0)
    start = zero, last, alone, nothing, state, none, nothing
    position, _, total, texts, _, ended, ended_texts = jax.lax.while_loop(going, grow, start)
    over = jnp.isfinite(ended).all(1)[:, None]
    left = jnp.where(over, -jnp.inf, worth(total, position))
    scores, texts = best(
        jnp.concatenate([ended, left], 1), beams, jnp.concatenate([ended_texts, texts], 1)
    )
    return texts, scores
