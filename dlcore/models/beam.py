"""Beam search over any model that predicts one token at a time, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, Integer

T = TypeVar("T")
State = TypeVar("State")

# (tokens [batch, beams], state, position []) -> (logits [batch, beams, vocabulary], state); the
# leaves of state are [batch, beams, ...]
Step = Callable[[Array, State, Array], tuple[Array, State]]

# position [], last tokens and scores [batch, beams], texts [batch, beams, length] and state of the
# unfinished hypotheses; scores and texts of the finished ones
Carry = tuple[Array, Array, Array, Array, State, Array, Array]


def beam_search(
    step: Step[State],
    state: State,
    first: Integer[Array, " batch"],
    *,
    beams: int,
    length: int,
    end: int,
    penalty: float = 1.0,
) -> tuple[Int32[Array, "batch beams length"], Float[Array, "batch beams"]]:
    """Searches for the continuations of highest score (beam search with a length penalty).

    The score of n tokens, `end` among them, is the sum of their log-probabilities over
    ((5 + n) / 6)^penalty. A hypothesis is finished when it ends with `end` as one of the `beams`
    best candidates of its step, or when it has `length` tokens. The search of an example stops once
    `beams` hypotheses are finished, so that one beam is greedy decoding.

    Args:
        step: computes the logits of the next token, see `Step`.
        state: its state before the first step; leaves [batch, beams, ...].
        first: the token before the continuation [batch].
        beams: number of hypotheses of each example, at least 1.
        length: number of tokens of a continuation at most, at least 1.
        end: the token that ends a continuation; it also fills the positions after itself.
        penalty: exponent of the length penalty; 0: none.

    Returns:
        Tokens int32 [batch, beams, length] and scores [batch, beams], float32 or wider, in
        descending order of score; -inf where there are fewer hypotheses.

    Raises:
        ValueError: beams or length is below 1.

    Source: Wu et al. 2016, eq. 14.
    """
    if beams < 1 or length < 1:
        raise ValueError(
            f"a search needs at least one beam and one token, not {beams} and {length}"
        )
    batch = first.shape[0]

    def score(total: Array, tokens: Array | int) -> Array:
        return total / ((5.0 + tokens) / 6.0) ** penalty

    def pick(tree: T, chosen: Array) -> T:
        return jax.tree.map(lambda x: jax.vmap(lambda row, at: row[at])(x, chosen), tree)

    def best(scores: Array, count: int, tree: T) -> tuple[Array, T]:
        scores, chosen = jax.lax.top_k(scores, count)
        return scores, pick(tree, chosen)

    def unfinished(carry: Carry[State]) -> Array:
        position, _, _, _, _, ended, _ = carry
        return (position < length) & ~jnp.isfinite(ended).all()

    def extend(carry: Carry[State]) -> Carry[State]:
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
        fresh = jnp.where(counts, score(candidates, position + 1), -jnp.inf)
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
    position, _, total, texts, _, ended, ended_texts = jax.lax.while_loop(unfinished, extend, start)
    over = jnp.isfinite(ended).all(1)[:, None]
    left = jnp.where(over, -jnp.inf, score(total, position))
    scores, texts = best(
        jnp.concatenate([ended, left], 1), beams, jnp.concatenate([ended_texts, texts], 1)
    )
    return texts, scores
