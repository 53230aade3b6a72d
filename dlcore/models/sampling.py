"""Draws the next token from logits."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int32, Integer, PRNGKeyArray


def choose(
    key: PRNGKeyArray,
    logits: Float[Array, "*batch vocabulary"],
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Int32[Array, "*batch"]:
    """Draws tokens from softmax(logits / temperature).

    Args:
        key: random key.
        logits: [..., vocabulary].
        temperature: at least 0; 0 returns the most likely token. Otherwise probabilities are
            computed in float32 or wider: noise of half precision would draw wrongly.
        top_k: draw among the k most likely tokens only; 0: all.
        top_p: of these, draw among the fewest most likely tokens whose probabilities (at
            `temperature`, normalised over these) sum to at least this (nucleus sampling). Of
            equally likely tokens the ones with lower indices count first.
        min_p: of these, draw among tokens that are at `temperature` at least this times as likely
            as the most likely one. Tokens that tie at the bound of `top_k` or `min_p` are all kept.

    Returns:
        Tokens int32 [...].

    Raises:
        ValueError: `temperature` or `top_k` is below 0, `top_p` outside (0, 1] or `min_p` outside
            [0, 1].

    Source: Holtzman et al. 2020 for top_p; Nguyen et al. 2024 for min_p.
    """
    check_sampling(temperature, top_k, top_p, min_p)
    if temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    logits = restricted(logits, temperature, top_k, top_p, min_p)
    return jax.random.categorical(key, logits).astype(jnp.int32)


def check_sampling(temperature: float, top_k: int, top_p: float, min_p: float = 0.0) -> None:
    """Raises a ValueError for an argument of `choose` outside its range."""
    wrong = {
        f"temperature {temperature} is below 0": not temperature >= 0,
        f"top_k {top_k} is below 0": top_k < 0,
        f"top_p {top_p} is outside (0, 1]": not 0 < top_p <= 1,
        f"min_p {min_p} is outside [0, 1]": not 0 <= min_p <= 1,
    }
    for message in (message for message, holds in wrong.items() if holds):
        raise ValueError(message)


def restricted(
    logits: Float[Array, "*batch vocabulary"],
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Float[Array, "*batch vocabulary"]:
    """Returns the logits from which `choose` draws: logits / temperature, -inf for excluded tokens.

    Args:
        logits, temperature, top_k, top_p, min_p: see `choose`; `temperature` is above 0.

    Returns:
        Logits, shape of `logits`, float32 or wider.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if top_k:
        least = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    logits = logits / temperature
    if top_p < 1:
        order = jnp.argsort(-logits, axis=-1, stable=True)
        p = jnp.take_along_axis(jax.nn.softmax(logits, -1), order, -1)
        kept = jnp.cumsum(p, -1) - p < top_p
        logits = jnp.where(
            jnp.take_along_axis(kept, jnp.argsort(order, axis=-1), -1), logits, -jnp.inf
        )
    if min_p:
        least = logits.max(-1, keepdims=True) + math.log(min_p)
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return logits


def probabilities(
    logits: Float[Array, "*batch vocabulary"],
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Float[Array, "*batch vocabulary"]:
    """Returns the distribution from which `choose` draws, one-hot at temperature 0.

    Args:
        logits, temperature, top_k, top_p, min_p: see `choose`.

    Returns:
        Probabilities, shape of `logits`, float32 or wider.
    """
    if temperature == 0:
        dtype = jnp.promote_types(logits.dtype, jnp.float32)
        return jax.nn.one_hot(logits.argmax(-1), logits.shape[-1], dtype=dtype)
    return jax.nn.softmax(restricted(logits, temperature, top_k, top_p, min_p), -1)


def penalised(
    logits: Float[Array, "*batch vocabulary"],
    occurred: Bool[Array, "*batch vocabulary"],
    penalty: float,
) -> Float[Array, "*batch vocabulary"]:
    """Makes earlier tokens less likely: divides logits above 0 by the penalty, multiplies others.

    Args:
        logits: [..., vocabulary].
        occurred: True for tokens that occur in the text so far [..., vocabulary].
        penalty: above 0; above 1 discourages repetition, 1 changes nothing.

    Returns:
        Logits, shape of `logits`; those of tokens that are not `occurred` are unchanged.

    Source: Keskar et al. 2019, sec. 4.1, with the sign rule of the `transformers` library.
    """
    changed = jnp.where(logits < 0, logits * penalty, logits / penalty)
    return jnp.where(occurred, changed, logits)


def end_encouraged(
    logits: Float[Array, "*batch vocabulary"],
    end: int,
    length: Integer[Array, ""],
    start: int,
    factor: float,
) -> Float[Array, "*batch vocabulary"]:
    """Raises the end token's logit x by |x| (factor^(length - start) - 1) once length > start.

    The power is bounded by the square root of the largest number, so that the logit stays finite.

    Args:
        logits: [..., vocabulary].
        end: the end token.
        length: number of tokens of the continuation so far [].
        start: length beyond which the end is encouraged.
        factor: above 0; above 1 makes texts shorter, 1 changes nothing.

    Returns:
        Logits, shape and dtype of `logits`; only that of `end` differs.

    Source: `ExponentialDecayLengthPenalty` of the `transformers` library.
    """
    x = logits[..., end]
    grown = jnp.maximum(length - start, 0).astype(logits.dtype)
    power = jnp.minimum(factor**grown, math.sqrt(jnp.finfo(logits.dtype).max))
    return logits.at[..., end].set(x + jnp.abs(x) * (power - 1))
