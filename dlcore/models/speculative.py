"""Speculative decoding: a drafter proposes tokens, and a GPT checks them in one forward pass."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int32, Integer, Key

from dlcore.models.apply import infer
from dlcore.models.drafters import Drafter, PromptLookup, extend, read
from dlcore.models.gpt import GPT, Cache, Size, unstacked
from dlcore.models.gpt_batch import Decoding, Generated, adjusted, tokens_of
from dlcore.models.sampling import probabilities
from dlcore.sharding import Tree

Passes = Int32[Array, " batch"]


class _Texts(NamedTuple):
    """Texts that grow.

    Attributes:
        tokens: prompt and continuation [batch, columns]; undefined after the continuation.
        done: tokens of each continuation so far [batch].
        log_probabilities: of the continuation's tokens [batch, length].
        occurred: tokens that occur in each text [batch, vocabulary].
        ended: rows that are finished [batch].
        passes: of the model for each row so far [batch].
    """

    tokens: Array
    done: Array
    log_probabilities: Array
    occurred: Array
    ended: Array
    passes: Array


@functools.partial(jax.jit, static_argnums=(0, 5, 6, 8))
def generate_speculatively(
    size: Size,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    padding: Integer[Array, " batch"],
    keys: Key[Array, " batch"],
    length: int,
    end: int,
    drafter: Drafter,
    decoding: Decoding,
) -> tuple[Generated, Passes]:
    """Continues prompts as `gpt_batch.generate_batch` does, with fewer passes of the model.

    Texts have the distribution of `generate_batch`; at temperature 0 they are its texts, except
    where two tokens are equally likely up to rounding. Rows may accept different numbers of tokens.
    A row depends on its own prompt and key alone.

    Args:
        size, params, prompt, padding, keys, length, end, decoding: see `generate_batch`.
        drafter: proposes tokens: `drafters.PromptLookup` or `drafters.SmallGPT`.

    Returns:
        The continuations, and the number of passes of the model for each row, int32 [batch]; the
        pass over the prompt is not counted.

    Raises:
        ValueError: as `generate_batch`, or the drafter does not fit the model.

    Source: Leviathan et al. 2023, algorithm 1; Chen et al. 2023, algorithm 2.
    """
    given = prompt.shape[1]
    if given < 1 or length < 1 or given + length > size.context:
        raise ValueError(
            f"a prompt of {given} tokens and {length} more do not fit a context of {size.context}"
        )
    drafter.check(size)
    size, params = unstacked(size, params)
    net, columns = GPT(size), given + length + drafter.tokens  # the last proposals fit, too

    def one(carry: tuple[_Texts, Any, Any]) -> tuple[_Texts, Any, Any]:
        texts, cache, state = carry
        known = given + texts.done
        drawn, accept = _row_keys(keys, texts.done)
        (proposed, q), state = drafter.propose(state, texts.tokens, known, padding, drawn, decoding)
        last = jnp.take_along_axis(texts.tokens, known[:, None] - 1, 1)
        checked = jnp.concatenate([last, proposed], 1)
        logits, cache = extend(net, params, checked, cache, known - 1, padding)
        p = _distribution(logits, texts.occurred, proposed, texts.done, end, decoding)
        if q is None:  # the drafter draws nothing: its distributions are on one token
            q = jax.nn.one_hot(proposed, size.vocabulary, dtype=p.dtype)
        tokens, valid = jax.vmap(accepted)(accept, p, proposed, q.astype(p.dtype))
        return _appended(texts, tokens, valid, logits, given, end), cache, state

    dtype = jnp.promote_types(jax.tree.leaves(params)[0].dtype, jnp.float32)
    texts = _empty(prompt, padding, length, columns, max(end, 0), size.vocabulary, dtype)
    cache = read(size, params, prompt, padding, columns)
    start = texts, cache, drafter.start(prompt, padding, columns)
    texts, *_ = jax.lax.while_loop(lambda carry: ~carry[0].ended.all(), one, start)
    new = texts.tokens[:, given : given + length]
    is_end = new == end
    lengths = jnp.where(is_end.any(1), is_end.argmax(1), length).astype(jnp.int32)
    return Generated(new, lengths, texts.log_probabilities), texts.passes


@functools.partial(jax.jit, static_argnums=(0, 6, 7))
def look_ahead(
    size: Size,
    params: Tree,
    cache: Cache,
    text: Integer[Array, "1 columns"],
    length: Integer[Array, ""],
    key: Key[Array, ""],
    draft: int,
    decoding: Decoding,
) -> tuple[Int32[Array, " next"], Int32[Array, ""], Cache]:
    """Continues one text by 1 to `draft` + 1 tokens in one pass, by proposals of `PromptLookup`.

    Args:
        size: of the network, without stacked layers.
        params: its parameters.
        cache: keys and values of the first `length` - 1 tokens.
        text: tokens [1, columns]; what follows the first `length` ones is undefined.
        length: number of tokens, at least 1; with `draft` more they fit into the cache.
        key: random key.
        draft: number of tokens that are proposed, at least 1.
        decoding: how tokens are chosen, penalties aside.

    Returns:
        Tokens [draft + 1], how many of them, at the beginning, are valid, and the cache of the text
        with the valid ones but the last.
    """
    rows, none = length[None].astype(jnp.int32), jnp.zeros(1, jnp.int32)
    (proposed, _), _ = PromptLookup(draft).propose((), text, rows, none, key[None], decoding)
    checked = jnp.concatenate([jax.lax.dynamic_slice_in_dim(text, length - 1, 1, 1), proposed], 1)
    logits, cache = infer(GPT(size), params, checked, cache=cache, position=length - 1)
    how = decoding
    p = probabilities(logits[0], how.temperature, how.top_k, how.top_p, how.min_p)
    q = jax.nn.one_hot(proposed[0], size.vocabulary, dtype=p.dtype)
    return *accepted(key, p, proposed[0], q), cache


def _empty(
    prompt: Array,
    padding: Array,
    length: int,
    columns: int,
    fill: int,
    vocabulary: int,
    dtype: DTypeLike,
) -> _Texts:
    """Prompts without continuations."""
    batch, given = prompt.shape
    zeros = jnp.zeros(batch, jnp.int32)
    after = jnp.full((batch, columns - given), fill, jnp.int32)
    return _Texts(
        tokens=jnp.concatenate([prompt.astype(jnp.int32), after], 1),
        done=zeros,
        log_probabilities=jnp.zeros((batch, length), dtype),
        occurred=tokens_of(prompt, padding, vocabulary),
        ended=jnp.zeros(batch, bool),
        passes=zeros,
    )


def _appended(
    texts: _Texts, tokens: Array, valid: Array, logits: Array, given: int, end: int
) -> _Texts:
    """Appends the first `valid` [batch] of the tokens [batch, next] to rows that are not finished.

    Nothing is appended after an end token or beyond the length.
    """
    done, length, logp = texts.done, texts.log_probabilities.shape[1], texts.log_probabilities
    rows, ahead = jnp.arange(len(tokens))[:, None], jnp.arange(tokens.shape[1])[None]
    is_end = tokens == end
    until_end = jnp.where(is_end.any(1), is_end.argmax(1) + 1, ahead.size)
    count = jnp.minimum(jnp.minimum(valid, until_end), length - done)
    count = jnp.where(texts.ended, 0, count).astype(done.dtype)
    written = ahead < count[:, None]
    # an index beyond an axis is dropped
    at = jnp.where(written, done[:, None] + ahead, texts.tokens.shape[1])
    own = jax.nn.log_softmax(logits.astype(logp.dtype), -1)
    own = jnp.take_along_axis(own, tokens[..., None], 2)[..., 0]
    found = jnp.where(written, tokens, texts.occurred.shape[1])
    return _Texts(
        tokens=texts.tokens.at[rows, given + at].set(tokens, mode="drop"),
        done=done + count,
        log_probabilities=logp.at[rows, at].set(own, mode="drop"),
        occurred=texts.occurred.at[rows, found].set(True, mode="drop"),
        ended=texts.ended | (is_end & written).any(1) | (done + count >= length),
        passes=texts.passes + ~texts.ended,
    )


def accepted(
    key: Key[Array, ""],
    p: Float[Array, "next vocabulary"],
    proposed: Integer[Array, " tokens"],
    q: Float[Array, "tokens vocabulary"],
) -> tuple[Int32[Array, " next"], Int32[Array, ""]]:
    """Accepts proposed tokens up to the first rejected one, and draws the token after them.

    Token x at i is accepted with probability min(1, p_i(x) / q_i(x)). The first one that is not is
    replaced by a draw from max(0, p_i - q_i), normalised; if all are accepted, one more token is
    drawn from the last row of p. What is returned has the distribution p, whatever q is.

    Args:
        key: random key.
        p: the model's distribution of each proposed token and of the one after them
            [tokens + 1, vocabulary].
        proposed: tokens [tokens], each drawn from its row of `q`.
        q: the drafter's distributions [tokens, vocabulary].

    Returns:
        Tokens int32 [tokens + 1] and how many of them, at the beginning, are valid: at least 1.

    Source: Leviathan et al. 2023, sec. 2.3; Chen et al. 2023, algorithm 2.
    """
    k, i = len(proposed), jnp.arange(len(proposed))
    for_acceptance, for_draw = jax.random.split(key)
    u = jax.random.uniform(for_acceptance, (k,), p.dtype)
    holds = u * q[i, proposed] < p[i, proposed]
    n = jnp.cumprod(holds.astype(jnp.int32)).sum(dtype=jnp.int32)
    rest = jnp.maximum(p[n] - jnp.concatenate([q, jnp.zeros_like(q[:1])])[n], 0)
    # rounding can leave nothing of two distributions that are equal
    rest = jnp.where(rest.sum() > 0, rest, p[n])
    drawn = jax.random.categorical(for_draw, jnp.log(rest))
    tokens = jnp.where(jnp.arange(k + 1) < n, jnp.append(proposed, 0), drawn)
    return tokens.astype(jnp.int32), n + 1


def _row_keys(keys: Array, done: Array) -> tuple[Array, Array]:
    """The keys of the drafter and of acceptance for each row, [batch] each."""
    both = jax.vmap(lambda key, i: jax.random.split(jax.random.fold_in(key, i)))(keys, done)
    return both[:, 0], both[:, 1]


def _distribution(
    logits: Float[Array, "batch next vocabulary"],
    occurred: Bool[Array, "batch vocabulary"],
    proposed: Integer[Array, "batch tokens"],
    done: Integer[Array, " batch"],
    end: int,
    decoding: Decoding,
) -> Float[Array, "batch next vocabulary"]:
    """The model's distributions, under the penalties that each token has where it stands."""
    how, (_, length, vocabulary) = decoding, logits.shape
    before = jnp.broadcast_to(occurred[:, None], logits.shape)
    if how.repetition_penalty != 1:
        one_hot = jax.nn.one_hot(proposed, vocabulary, dtype=jnp.int32)
        before = before | (jnp.pad(jnp.cumsum(one_hot, 1), ((0, 0), (1, 0), (0, 0))) > 0)
    count = done[:, None] + jnp.arange(length)[None]
    each = jax.vmap(jax.vmap(lambda x, s, i: adjusted(x, s, i, end, how)))
    logits = each(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), before, count)
    return probabilities(logits, how.temperature, how.top_k, how.top_p, how.min_p)
