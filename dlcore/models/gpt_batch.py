"""Generation for prompts of different lengths in one batch, each until its own end token."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int32, Integer, Key

from dlcore.models.apply import infer
from dlcore.models.gpt import GPT, Cache, Size, empty_cache, unstacked
from dlcore.models.sampling import check_sampling, choose, end_encouraged, penalised
from dlcore.sharding import Tree


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        temperature, top_k, top_p, min_p: see `sampling.choose`.
        repetition_penalty: for tokens of the prompt and the continuation, see `sampling.penalised`.
        min_tokens: number of tokens of a continuation before which the end token is not chosen.
        shorten_from, shorten_by: see `sampling.end_encouraged`.

    Raises:
        ValueError: a number outside its range.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    min_tokens: int = 0
    shorten_from: int = 0
    shorten_by: float = 1.0

    def __post_init__(self) -> None:
        check_sampling(self.temperature, self.top_k, self.top_p, self.min_p)
        wrong = {
            f"repetition_penalty {self.repetition_penalty} is not above 0": (
                not self.repetition_penalty > 0
            ),
            f"min_tokens {self.min_tokens} is below 0": self.min_tokens < 0,
            f"shorten_from {self.shorten_from} is below 0": self.shorten_from < 0,
            f"shorten_by {self.shorten_by} is not above 0": not self.shorten_by > 0,
        }
        for message in (message for message, holds in wrong.items() if holds):
            raise ValueError(message)


GREEDY = Decoding(temperature=0.0)


class Generated(NamedTuple):
    """Continuations of a batch of prompts.

    Attributes:
        tokens: int32 [batch, length]; a continuation that ended is filled up with the end token.
        lengths: int32 [batch], tokens of a continuation without its end token.
        log_probabilities: [batch, length] of each token and of the end token, in nats, under the
            model's own distribution (temperature 1, all tokens, no penalty); 0 after the end.
    """

    tokens: Int32[Array, "batch length"]
    lengths: Int32[Array, " batch"]
    log_probabilities: Float[Array, "batch length"]


def left_padded(
    prompts: Sequence[Integer[np.ndarray, " _"]], length: int = 0
) -> tuple[Int32[np.ndarray, "batch given"], Int32[np.ndarray, " batch"]]:
    """Puts prompts of different lengths into one array, zeros at the left of the shorter ones.

    Args:
        prompts: tokens of each.
        length: columns of the array; 0: the length of the longest prompt.

    Returns:
        Tokens int32 [batch, length] and the number of padding tokens of each row, int32 [batch], as
        `generate_batch` takes them.

    Raises:
        ValueError: no prompt, an empty one, or one that is longer than `length`.
    """
    sizes = [len(prompt) for prompt in prompts]
    length = length or max(sizes, default=0)
    if not sizes or min(sizes) < 1 or max(sizes) > length:
        raise ValueError(f"prompts have 1 to {length} tokens each, and these have {sizes}")
    tokens = np.zeros((len(prompts), length), np.int32)
    for row, prompt in zip(tokens, prompts, strict=True):
        row[length - len(prompt) :] = prompt
    return tokens, length - np.asarray(sizes, np.int32)


def tokens_of(
    prompt: Integer[Array, "batch given"], padding: Integer[Array, " batch"], vocabulary: int
) -> Bool[Array, "batch vocabulary"]:
    """Returns which tokens occur in each prompt, its padding aside: bool [batch, vocabulary].

    Args:
        prompt, padding: as of `generate_batch`.
        vocabulary: number of tokens.
    """
    is_token = jnp.arange(prompt.shape[1])[None] >= padding[:, None]
    # an index beyond the vocabulary is dropped: padding is no token of the text
    index = jnp.where(is_token, prompt, vocabulary)
    rows = jnp.arange(len(prompt))[:, None]
    return jnp.zeros((len(prompt), vocabulary), bool).at[rows, index].set(True, mode="drop")


Carry = tuple[Array, Cache, Array, Array, Array, Array, Array]


@functools.partial(jax.jit, static_argnums=(0, 5, 6, 7))
def generate_batch(
    size: Size,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    padding: Integer[Array, " batch"],
    keys: Key[Array, " batch"],
    length: int,
    end: int,
    decoding: Decoding = Decoding(),
) -> Generated:
    """Continues prompts until each has ended or has `length` new tokens, in one compiled loop.

    A row depends on its own prompt and key alone: it has the same result in a batch of one row.

    Args:
        size: of the network.
        params: its parameters.
        prompt: tokens, padded at the left, see `left_padded`.
        padding: number of padding tokens of each row, less than `given`.
        keys: one random key for each row [batch]; token i is drawn with `fold_in(key, i)`.
        length: number of new tokens at most.
        end: the token that ends a continuation; below 0: none does.
        decoding: how tokens are chosen.

    Returns:
        The continuations.

    Raises:
        ValueError: prompt, its padding included, and continuation do not fit into the context, the
            prompt is empty, `length` is below 1, or `end` is no token of the vocabulary.
    """
    batch, given = prompt.shape
    if end >= size.vocabulary:
        raise ValueError(f"the end token {end} is not in a vocabulary of {size.vocabulary} tokens")
    if given < 1 or length < 1 or given + length > size.context:
        raise ValueError(
            f"a prompt of {given} tokens and {length} more do not fit a context of {size.context}"
        )
    size, params = unstacked(size, params)
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype
    logits, cache = infer(
        net, params, prompt, cache=empty_cache(size, batch, dtype), padding=padding
    )
    rows, occurred = jnp.arange(batch), tokens_of(prompt, padding, size.vocabulary)

    def unfinished(carry: Carry) -> Array:
        return (carry[0] < length) & ~carry[4].all()

    def one(carry: Carry) -> Carry:
        i, cache, logits, occurred, ended, tokens, logp = carry
        token = _token(keys, i, logits, occurred, end, decoding)
        token = jnp.where(ended, max(end, 0), token)
        own = jax.nn.log_softmax(logits.astype(logp.dtype), -1)[rows, token]
        tokens = tokens.at[:, i].set(token)
        logp = logp.at[:, i].set(jnp.where(ended, 0, own))
        ended |= token == end
        logits, cache = infer(
            net, params, token[:, None], cache=cache, position=given + i, padding=padding
        )
        occurred = occurred.at[rows, token].set(True)
        return i + 1, cache, logits[:, 0], occurred, ended, tokens, logp

    start = (
        jnp.zeros((), jnp.int32),
        cache,
        logits[:, -1],
        occurred,
        jnp.zeros(batch, bool),
        jnp.full((batch, length), max(end, 0), jnp.int32),
        jnp.zeros((batch, length), jnp.promote_types(logits.dtype, jnp.float32)),
    )
    *_, tokens, logp = jax.lax.while_loop(unfinished, one, start)
    is_end = tokens == end
    lengths = jnp.where(is_end.any(1), is_end.argmax(1), length).astype(jnp.int32)
    return Generated(tokens, lengths, logp)


def _token(
    keys: Array, i: Array, logits: Array, occurred: Array, end: int, decoding: Decoding
) -> Array:
    """Chooses token i of every row, [batch]."""
    how, logits = decoding, adjusted(logits, occurred, i, end, decoding)

    def row(key: Array, logits: Array) -> Array:
        key = jax.random.fold_in(key, i)
        return choose(key, logits, how.temperature, how.top_k, how.top_p, how.min_p)

    return jax.vmap(row)(keys, logits)


def adjusted(
    logits: Float[Array, "*batch vocabulary"],
    occurred: Bool[Array, "*batch vocabulary"],
    i: Integer[Array, ""],
    end: int,
    decoding: Decoding,
) -> Float[Array, "*batch vocabulary"]:
    """Applies the penalties of a decoding to the logits of token i of a continuation.

    Args:
        logits: of the model [..., vocabulary].
        occurred: True for tokens that occur in prompt or continuation so far [..., vocabulary].
        i: number of tokens of the continuation so far [].
        end: the end token; below 0: none.
        decoding: its repetition penalty, `min_tokens`, `shorten_from` and `shorten_by` are used.

    Returns:
        Logits, shape of `logits`; -inf for an end token that is not allowed yet.
    """
    how = decoding
    if how.repetition_penalty != 1:
        logits = penalised(logits, occurred, how.repetition_penalty)
    if end >= 0 and how.shorten_by != 1:
        logits = end_encouraged(logits, end, i, how.shorten_from, how.shorten_by)
    if end >= 0 and how.min_tokens:
        barred = logits.at[..., end].set(-jnp.inf)
        logits = jnp.where(i < how.min_tokens, barred, logits)
    return logits
