"""Language models run a few tokens at a time, for text that is shown while it is generated."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.models.apply import infer
from dlcore.models.char_rnn import CharRNN
from dlcore.models.gpt import GPT, Cache, Size, empty_cache, unstacked
from dlcore.models.speculative import look_ahead
from dlcore.sharding import Tree


@dataclasses.dataclass(frozen=True)
class Decoder:
    """A language model that extends one text by a few tokens at a time.

    Attributes:
        prepare: parameters -> the parameters that `start` and `advance` take.
        start: parameters -> the cache of an empty text.
        advance: (parameters, cache, tokens int32 [1, n], position int32 []) -> logits of the token
            after the last one [1, vocabulary], and the cache of the text with these tokens;
            `position` is the number of tokens that are in the cache. Compiled once for each n.
        context: number of tokens that fit into a cache; None: any number.
        look_ahead: continues a text by several tokens at once: `speculative.look_ahead` without its
            first argument; None where a cache cannot go back to an earlier token.
    """

    prepare: Callable[[Tree], Tree]
    start: Callable[[Tree], Tree]
    advance: Callable[[Tree, Tree, Array, Array], tuple[Array, Tree]]
    context: int | None
    look_ahead: Callable[..., tuple[Array, Array, Tree]] | None = None


def gpt_decoder(size: Size) -> Decoder:
    """Returns the decoder of `GPT(size)`, which caches the keys and values of one text.

    Args:
        size: of the GPT whose parameters are given to `prepare`, which unstacks their layers if
            `size.scan`.
    """
    single = dataclasses.replace(size, scan=False)

    def start(params: Tree) -> Cache:
        return empty_cache(single, 1, jax.tree.leaves(params)[0].dtype)

    return Decoder(
        prepare=lambda params: unstacked(size, params)[1],
        start=start,
        advance=functools.partial(_advance_gpt, single),
        context=size.context,
        look_ahead=functools.partial(look_ahead, single),
    )


def rnn_decoder(net: CharRNN) -> Decoder:
    """Returns the decoder of a recurrent network; its cache is the network's states.

    Raises:
        ValueError: the network is bidirectional.
    """
    if net.rnn.bidirectional:
        raise ValueError("a network that reads in both directions cannot continue a text")
    return Decoder(
        prepare=lambda params: params,
        start=lambda params: net.rnn.start(1),
        advance=functools.partial(_advance_rnn, net),
        context=None,
    )


@functools.partial(jax.jit, static_argnums=0)
def _advance_gpt(
    size: Size, params: Tree, cache: Cache, tokens: Array, position: Array
) -> tuple[Array, Cache]:
    logits, cache = infer(GPT(size), params, tokens, cache=cache, position=position)
    return logits[:, -1], cache


@functools.partial(jax.jit, static_argnums=0)
def _advance_rnn(
    net: CharRNN, params: Tree, cache: Array, tokens: Array, position: Array
) -> tuple[Array, Array]:
    logits, cache = infer(net, params, jnp.asarray(tokens), carry=cache)
    return logits[:, -1], cache
