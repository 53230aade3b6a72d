"""Text generation with a GPT: sampling and beam search over a cache of keys and values."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.models.apply import infer
from dlcore.models.beam import beam_search
from dlcore.models.drafters import PromptLookup
from dlcore.models.gpt import GPT, Cache, Size, empty_cache, unstacked
from dlcore.models.gpt_batch import Decoding
from dlcore.models.sampling import check_sampling, choose
from dlcore.models.speculative import generate_speculatively
from dlcore.sharding import Tree


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6, 7, 8))
def generate(
    size: Size,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    key: PRNGKeyArray,
    length: int,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    draft: int = 0,
) -> Integer[Array, "batch total"]:
    """Continues prompts by `length` tokens, in one compiled loop over a cache.

    When the context is full, its last context // 2 tokens become the prompt of the next segment, so
    that `length` may exceed the context.

    Args:
        size: of the network.
        params: its parameters.
        prompt: [batch, given].
        key: random key of the batch; without `draft`, new token i of all rows is drawn with
            `fold_in(key, i)`.
        length: number of new tokens of each row.
        temperature, top_k, top_p: see `sampling.choose`.
        draft: number of tokens that `drafters.PromptLookup` proposes at a time, and one pass
            checks; 0: none. The distribution of the texts is the same; above temperature 0 other
            tokens are drawn, as each row has a key of its own.

    Returns:
        Prompt and continuation [batch, given + length].

    Raises:
        ValueError: the prompt is empty or fills the context, `draft` is below 0, or see
            `sampling.choose`.
    """
    batch, given = prompt.shape
    half = max(1, size.context // 2)
    check_sampling(temperature, top_k, top_p)
    if not 0 < given < size.context:
        raise ValueError(f"a prompt of 1 to {size.context - 1} tokens, not {given}")
    if draft < 0:
        raise ValueError(f"at least 0 tokens are proposed, not {draft}")
    size, params = unstacked(size, params)
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype

    def continue_segment(prompt: Array, start: Array | int, new: int) -> Array:
        if draft and new:
            keys = jax.random.split(jax.random.fold_in(key, start), batch)
            how, padding = Decoding(temperature, top_k, top_p), jnp.zeros(batch, jnp.int32)
            drafter = PromptLookup(draft)
            return generate_speculatively(
                size, params, prompt, padding, keys, new, -1, drafter, how
            )[0].tokens

        def one(carry: tuple[Array, Cache], i: Array) -> tuple[tuple[Array, Cache], Array]:
            logits, cache = carry
            token = choose(jax.random.fold_in(key, i), logits, temperature, top_k, top_p)
            here = prompt.shape[1] + i - start
            logits, cache = infer(net, params, token[:, None], cache=cache, position=here)
            return (logits[:, 0], cache), token

        logits, cache = infer(net, params, prompt, cache=empty_cache(size, batch, dtype))
        _, tokens = jax.lax.scan(one, (logits[:, -1], cache), start + jnp.arange(new))
        return tokens.T

    first = min(length, size.context - given)
    text = jnp.concatenate([prompt, continue_segment(prompt, 0, first)], 1)
    if first == length:
        return text
    whole, rest = divmod(length - first, size.context - half)

    def again(tail: Array, start: Array) -> tuple[Array, Array]:
        new = continue_segment(tail, start, size.context - half)
        return jnp.concatenate([tail, new], 1)[:, -half:], new

    tail, new_segments = jax.lax.scan(
        again, text[:, -half:], first + jnp.arange(whole) * (size.context - half)
    )
    text = jnp.concatenate([text, new_segments.swapaxes(0, 1).reshape(batch, -1)], 1)
    return (
        text
        if not rest
        else jnp.concatenate([text, continue_segment(tail, length - rest, rest)], 1)
    )


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6))
def likeliest(
    size: Size,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    length: int,
    beams: int,
    end: int,
    penalty: float = 1.0,
) -> tuple[Integer[Array, "batch beams length"], Float[Array, "batch beams"]]:
    """Continues prompts by beam search.

    Args:
        size: of the network.
        params: its parameters.
        prompt: [batch, given], at least one token.
        length: number of new tokens at most.
        beams, end, penalty: see `beam.beam_search`.

    Returns:
        Tokens int32 [batch, beams, length] of the continuations, filled up with `end` after their
        first `end`, and scores [batch, beams], both in descending order of score; the score is
        -inf where fewer than `beams` hypotheses exist.

    Raises:
        ValueError: the prompt is empty, prompt and continuation do not fit into the context, or
            `length` or `beams` is below 1.
    """
    batch, given = prompt.shape
    if given < 1 or given + length > size.context:
        raise ValueError(
            f"a prompt of {given} tokens and {length} more do not fit a context of {size.context}"
        )
    size, params = unstacked(size, params)
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype
    cache = empty_cache(size, batch, dtype)
    if given > 1:  # the search starts from the last token of the prompt
        _, cache = infer(net, params, prompt[:, :-1], cache=cache)

    def step(tokens: Array, cache: Cache, i: Array) -> tuple[Array, Cache]:
        flat = jax.tree.map(lambda x: x.reshape(batch * beams, *x.shape[2:]), cache)
        logits, flat = infer(net, params, tokens.reshape(-1, 1), cache=flat, position=given - 1 + i)
        return logits.reshape(batch, beams, -1), jax.tree.map(
            lambda x: x.reshape(batch, beams, *x.shape[1:]), flat
        )

    cache = jax.tree.map(lambda x: jnp.repeat(x[:, None], beams, 1), cache)
    return beam_search(
        step, cache, prompt[:, -1], beams=beams, length=length, end=end, penalty=penalty
    )
