"""Language models run a few tokens at a time: what a text that is shown while it grows needs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.models.gpt import GPT, Size, empty_cache, unstacked
from dlcore.models.rnn import CharRNN


@dataclasses.dataclass(frozen=True)
class Decoder:
    """The functions that run a language model over a text of one row.

    Attributes:
        prepare: parameters -> the parameters that `start` and `advance` take.
        start: parameters -> the cache of an empty text.
        advance: (parameters, cache, tokens int32 [1, n], position int32 []) -> logits of the token
            after the last one [1, vocabulary], and the cache of the text with these tokens;
            `position` is the number of tokens that are in the cache. Compiled once for each n.
        context: number of tokens that fit into a cache; None: any number.
    """

    prepare: Callable[[Any], Any]
    start: Callable[[Any], Any]
    advance: Callable[[Any, Any, Array, Array], tuple[Array, Any]]
    context: int | None


def gpt_decoder(size: Size) -> Decoder:
    """The decoder of `GPT(size)`, over its cache of keys and values."""
    single = dataclasses.replace(size, scan=False)

    def start(params: Any) -> Any:
        return empty_cache(single, 1, jax.tree.leaves(params)[0].dtype)

    return Decoder(
        prepare=lambda params: unstacked(size, params)[1],
        start=start,
        advance=functools.partial(_advance_gpt, single),
        context=size.context,
    )


def rnn_decoder(net: CharRNN) -> Decoder:
    """The decoder of a recurrent network, whose cache is its states.

    Raises:
        ValueError: a network that reads in both directions.
    """
    if net.rnn.both:
        raise ValueError("a network that reads in both directions cannot continue a text")
    return Decoder(
        prepare=lambda params: params,
        start=lambda params: net.rnn.start(1),
        advance=functools.partial(_advance_rnn, net),
        context=None,
    )


@functools.partial(jax.jit, static_argnums=0)
def _advance_gpt(
    size: Size, params: Any, cache: Any, tokens: Array, position: Array
) -> tuple[Array, Any]:
    logits, cache = GPT(size).apply({"params": params}, tokens, cache=cache, position=position)
    return logits[:, -1], cache


@functools.partial(jax.jit, static_argnums=0)
def _advance_rnn(
    net: CharRNN, params: Any, cache: Any, tokens: Array, position: Array
) -> tuple[Array, Any]:
    logits, cache = net.apply({"params": params}, jnp.asarray(tokens), carry=cache)
    return logits[:, -1], cache
