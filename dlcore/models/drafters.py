"""Drafters, which propose the tokens that a language model checks in speculative decoding."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, Integer, Key

from dlcore.models.apply import infer
from dlcore.models.gpt import GPT, Cache, Size, empty_cache, unstacked
from dlcore.models.gpt_batch import Decoding
from dlcore.models.sampling import probabilities
from dlcore.sharding import Tree

# [batch, tokens], and the distribution that each was drawn from [batch, tokens, vocabulary];
# None: all of it is on that token
Proposal = tuple[Int32[Array, "batch tokens"], Float[Array, "batch tokens vocabulary"] | None]


@runtime_checkable
class Drafter(Protocol):
    """Proposes the next tokens of texts. It is a pytree, and so an argument of compiled functions.

    Attributes:
        tokens: how many are proposed at a time.
    """

    @property
    def tokens(self) -> int:
        """How many tokens are proposed at a time."""

    def check(self, size: Size) -> None:
        """Raises ValueError where it cannot propose tokens to a GPT of this size."""

    def start(
        self, prompt: Integer[Array, "batch given"], padding: Integer[Array, " batch"], columns: int
    ) -> Any:
        """Returns the state after all tokens of the prompts but the last.

        Args:
            prompt: tokens, padded at the left.
            padding: number of padding tokens of each row.
            columns: number of columns of `text` in `propose`.
        """

    def propose(
        self,
        state: Any,
        text: Integer[Array, "batch columns"],
        length: Integer[Array, " batch"],
        padding: Integer[Array, " batch"],
        keys: Key[Array, " batch"],
        decoding: Decoding,
    ) -> tuple[Proposal, Any]:
        """Proposes the tokens after the first `length` ones of each row of `text`.

        Args:
            state: what `start` returned, while the rows are the prompts; then what the last call
                returned, since which each unfinished row has grown by the accepted ones of the
                proposed tokens and by one token after them.
            text: tokens [batch, columns]; after the first `length` ones of a row, undefined.
            length: columns of each row that are known, padding included.
            padding: number of padding tokens at the left of each row.
            keys: a random key for each row.
            decoding: how the model's tokens are chosen.

        Returns:
            The proposal: tokens int32 [batch, tokens], and the distributions from which they were
            drawn [batch, tokens, vocabulary], or None where they were not drawn; the next state.
        """


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=[], meta_fields=["tokens", "ngram"]
)
@dataclasses.dataclass(frozen=True)
class PromptLookup:
    """Proposes what followed the last tokens where they occurred in the text before.

    It searches the text for the longest earlier occurrence of its last tokens, at most `ngram`; of
    several it takes the latest, and without one it repeats the last token. Where fewer than
    `tokens` tokens follow the occurrence, these are repeated.

    Attributes:
        tokens: how many are proposed at a time.
        ngram: largest number of last tokens that are compared.

    Source: Saxena 2023, "Prompt lookup decoding"; Yang et al. 2023.
    """

    tokens: int = 4
    ngram: int = 3

    def check(self, size: Size) -> None:
        """Raises ValueError where `tokens` or `ngram` is below 1."""
        if self.tokens < 1 or self.ngram < 1:
            raise ValueError(
                f"at least 1 token is proposed and compared, not {self.tokens} and {self.ngram}"
            )

    def start(self, prompt: Array, padding: Array, columns: int) -> tuple[()]:
        """Keeps nothing: the text is all that it reads."""
        return ()

    def propose(
        self,
        state: tuple[()],
        text: Array,
        length: Array,
        padding: Array,
        keys: Array,
        decoding: Decoding,
    ) -> tuple[Proposal, tuple[()]]:
        """Looks up the last tokens; see `Drafter.propose`."""
        column = jnp.arange(text.shape[1])

        def row(text: Array, length: Array, padding: Array) -> Array:
            agrees, agreeing = column < length - 1, jnp.zeros(len(text), jnp.int32)
            for back in range(self.ngram):
                same = jnp.roll(text, back) == text[length - 1 - back]
                agrees &= same & (column - back >= padding)
                agreeing += agrees
            found = jnp.where(column < length - 1, agreeing * len(text) + column, -1).argmax()
            found = jnp.minimum(found, length - 2)  # a text of one token is repeated
            return text[found + 1 + jnp.arange(self.tokens) % (length - 1 - found)]

        return (jax.vmap(row)(text, length, padding).astype(jnp.int32), None), state


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["size", "tokens"]
)
@dataclasses.dataclass(frozen=True)
class SmallGPT:
    """Proposes what a smaller GPT with the same vocabulary writes, token by token.

    Attributes:
        size: of the smaller GPT.
        params: its parameters.
        tokens: how many are proposed at a time.

    Source: Leviathan et al. 2023, sec. 2.1.
    """

    size: Size
    params: Tree
    tokens: int = 4

    def check(self, size: Size) -> None:
        """Raises ValueError for another vocabulary, a shorter context, or `tokens` below 1."""
        own = self.size
        if self.tokens < 1:
            raise ValueError(f"at least 1 token is proposed, not {self.tokens}")
        if own.vocabulary != size.vocabulary or own.context < size.context:
            raise ValueError(
                f"a drafter has the model's vocabulary of {size.vocabulary} and at least its"
                f" context of {size.context}, not {own.vocabulary} and {own.context}"
            )

    def start(self, prompt: Array, padding: Array, columns: int) -> Cache:
        """Reads the prompts into a cache of keys and values."""
        return read(*unstacked(self.size, self.params), prompt, padding, columns)

    def propose(
        self,
        state: Cache,
        text: Array,
        length: Array,
        padding: Array,
        keys: Array,
        decoding: Decoding,
    ) -> tuple[Proposal, Cache]:
        """Draws tokens with the restrictions of `decoding`; see `Drafter.propose`."""
        size, params = unstacked(self.size, self.params)
        net, how = GPT(size), decoding

        def one(carry: tuple[Array, Cache], i: Array) -> tuple[tuple[Array, Cache], Any]:
            token, cache = carry
            logits, cache = extend(net, params, token[:, None], cache, length - 1 + i, padding)
            p = probabilities(logits[:, 0], how.temperature, how.top_k, how.top_p, how.min_p)
            folded = jax.vmap(jax.random.fold_in, (0, None))(keys, i)
            token = jax.vmap(jax.random.categorical)(folded, jnp.log(p)).astype(jnp.int32)
            return (token, cache), (token, p)

        last = jnp.take_along_axis(text, length[:, None] - 1, 1)[:, 0]
        # one step more than there are proposals: the last one puts its token into the cache
        (_, state), (tokens, p) = jax.lax.scan(one, (last, state), jnp.arange(self.tokens + 1))
        return (tokens[:-1].T, p[:-1].swapaxes(0, 1)), state


def read(
    size: Size,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    padding: Integer[Array, " batch"],
    columns: int,
) -> Cache:
    """Returns a cache of `columns` columns with all tokens of the prompts but the last.

    Args:
        size: of a GPT without stacked layers.
        params: its parameters.
        prompt: tokens, padded at the left.
        padding: number of padding tokens of each row.
        columns: of the cache; they may be more than the context.
    """
    longer = dataclasses.replace(size, context=columns)
    cache = empty_cache(longer, len(prompt), jax.tree.leaves(params)[0].dtype)
    if prompt.shape[1] > 1:
        _, cache = infer(GPT(size), params, prompt[:, :-1], cache=cache, padding=padding)
    return cache


def extend(
    net: GPT,
    params: Tree,
    tokens: Integer[Array, "batch length"],
    cache: Cache,
    column: Integer[Array, " batch"],
    padding: Integer[Array, " batch"],
) -> tuple[Float[Array, "batch length vocabulary"], Cache]:
    """Applies a GPT to tokens whose columns in the cache differ between rows.

    Args:
        net, params: the network and its parameters.
        tokens: [batch, length].
        cache: keys and values; those of a row's columns before its `column` are read.
        column: column of the cache of each row's first token [batch]; column + length is at most
            the number of the cache's columns, which is not checked.
        padding: number of padding tokens at the left of each row [batch].

    Returns:
        Logits [batch, length, vocabulary] of the token after each token, and the cache with these
        tokens.
    """
    if len(tokens) == 1:  # a slice of the cache is written, where many rows need a scatter
        return infer(net, params, tokens, cache=cache, position=column[0], padding=padding)

    def row(tokens: Array, cache: Cache, column: Array, padding: Array) -> tuple[Array, Cache]:
        single = jax.tree.map(lambda x: x[None], cache)
        logits, single = infer(
            net, params, tokens[None], cache=single, position=column, padding=padding[None]
        )
        return logits[0], jax.tree.map(lambda x: x[0], single)

    return jax.vmap(row)(tokens, cache, column, padding)
