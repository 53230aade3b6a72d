"""Routing of tokens to experts of limited capacity, and the losses of the router."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, Integer

from dlcore.kernels.derivatives import with_backward


class Routing(NamedTuple):
    """Where the tokens of each row go; a choice is one of the `top` experts of one token.

    Attributes:
        gates: weight of each choice [batch, length, top]; those of a token sum to 1.
        slots: slot of each choice [batch, length, top]: expert * capacity + number of earlier
            tokens of the row that the expert took; experts * capacity where the choice is dropped.
        choices: choice in each slot [batch, experts * capacity], token * top + rank; length * top
            where the slot is empty. The inverse of `slots`.
    """

    gates: Float[Array, "batch length top"]
    slots: Int32[Array, "batch length top"]
    choices: Int32[Array, "batch slots"]


def route(logits: Float[Array, "batch length experts"], top: int, capacity: int) -> Routing:
    """Sends each token to its `top` experts, of which each takes `capacity` tokens of a row.

    Of equal logits the expert of the lower index is chosen. An expert takes the tokens of a row in
    their order and drops those that come when it is full, so that a token's slots depend on it
    and on earlier tokens of its row only. Where a choice is dropped, the gates of the token's other
    choices keep their values.

    Args:
        logits: of the router [batch, length, experts].
        top: number of experts of a token, 1 to experts.
        capacity: number of tokens of a row that an expert takes, at least 1; with a capacity of
            `length` none is dropped.

    Returns:
        The routing; gates are the softmax over a token's chosen logits, dtype of `logits`.

    Raises:
        ValueError: `top` is not in 1 to experts, or the capacity is below 1.

    Source: Shazeer et al. 2017, sec. 2.1 for the gates; Lepikhin et al. 2021, sec. 2.2 for groups
        with a capacity, here one row each, and first choices without precedence over second ones.
    """
    batch, length, experts = logits.shape
    if not 1 <= top <= experts or capacity < 1:
        raise ValueError(f"{top} of {experts} experts with a capacity of {capacity}")
    values, chosen = jax.lax.top_k(logits, top)
    acc_dtype = jnp.promote_types(logits.dtype, jnp.float32)
    gates = jax.nn.softmax(values.astype(acc_dtype), -1).astype(logits.dtype)
    sent = jax.nn.one_hot(chosen, experts, dtype=jnp.int32).sum(2)
    earlier = jnp.cumsum(sent, 1) - sent
    place = jnp.take_along_axis(earlier, chosen, 2)
    end = experts * capacity
    slots = jnp.where(place < capacity, chosen * capacity + place, end).astype(jnp.int32)

    def inverse(slots: Array) -> Array:
        empty = jnp.full(end, length * top, jnp.int32)
        return empty.at[slots].set(jnp.arange(length * top, dtype=jnp.int32), mode="drop")

    return Routing(gates, slots, jax.vmap(inverse)(slots.reshape(batch, -1)))


def dispatch(
    x: Float[Array, "batch length width"], routing: Routing, experts: int
) -> Float[Array, "batch experts capacity width"]:
    """Puts tokens into the slots of their experts; empty slots are 0.

    Args:
        x: tokens [batch, length, width].
        routing: of these tokens, by `route`.
        experts: number of experts.

    Returns:
        The inputs of each expert [batch, experts, capacity, width], dtype of `x`.
    """
    batch, _, top = routing.slots.shape
    slots = _moved(x, routing.choices // top, routing.slots)
    return slots.reshape(batch, experts, -1, x.shape[-1])


def combine(
    y: Float[Array, "batch experts capacity width"], routing: Routing
) -> Float[Array, "batch length width"]:
    """Sums the outputs of a token's experts, weighted by its gates; a dropped choice adds 0.

    Args:
        y: output of each slot [batch, experts, capacity, width].
        routing: of the tokens.

    Returns:
        The sum for each token [batch, length, width], dtype of `y`.
    """
    (batch, length, top), width = routing.slots.shape, y.shape[-1]
    slots = routing.slots.reshape(batch, -1)
    outputs = _moved(y.reshape(batch, -1, width), slots, routing.choices[..., None])
    acc_dtype = jnp.promote_types(y.dtype, jnp.float32)
    weighted = outputs.reshape(batch, length, top, width).astype(acc_dtype)
    return (weighted * routing.gates[..., None].astype(acc_dtype)).sum(2).astype(y.dtype)


def expert_load(
    logits: Float[Array, "batch length experts"], weight: Float[Array, "batch length"], top: int
) -> Float[Array, "batch experts"]:
    """Computes the fraction of a row's choices that fall on each expert, dropped ones included.

    No gradient flows through it.

    Args:
        logits: of the router [batch, length, experts].
        weight: of each token [batch, length], at least 0; 0 for padding.
        top: number of experts of a token.

    Returns:
        Fractions [batch, experts], which sum to 1; 0 where all weights are. Dtype of `logits`.
    """
    acc_dtype = jnp.promote_types(logits.dtype, jnp.float32)
    chosen = jax.lax.top_k(jax.lax.stop_gradient(logits), top)[1]
    sent = jax.nn.one_hot(chosen, logits.shape[-1], dtype=acc_dtype).sum(2)
    weight = jax.lax.stop_gradient(weight).astype(acc_dtype)
    total = jnp.einsum("bl,ble->be", weight, sent)
    return (total / jnp.maximum(weight.sum(1, keepdims=True) * top, 1e-30)).astype(logits.dtype)


def load_balance(
    logits: Float[Array, "batch length experts"], weight: Float[Array, "batch length"], top: int
) -> Float[Array, " batch"]:
    """Load-balance loss of each row: experts * sum over experts of load * mean probability.

    It is 1 where tokens are spread evenly, and `experts` / `top` where all go to the same experts.
    Rows are independent, so that its mean over rows does not depend on the number of devices.

    Args:
        logits: of the router [batch, length, experts]; the gradient is that of the probabilities,
            the load is a constant.
        weight: of each token [batch, length], at least 0; 0 for padding.
        top: number of experts of a token.

    Returns:
        The loss [batch]; 0 where all weights are. Dtype of `logits`.

    Source: Fedus et al. 2022, eq. 4 to 6, for each row instead of the batch.
    """
    acc_dtype = jnp.promote_types(logits.dtype, jnp.float32)
    load = expert_load(logits.astype(acc_dtype), weight, top)
    probability = jax.nn.softmax(logits.astype(acc_dtype), -1)
    weight = weight.astype(acc_dtype)
    mean = jnp.einsum("bl,ble->be", weight, probability)
    mean = mean / jnp.maximum(weight.sum(1, keepdims=True), 1e-30)
    return (logits.shape[-1] * (load * mean).sum(-1)).astype(logits.dtype)


def router_z(logits: Float[Array, "*batch experts"]) -> Float[Array, "*batch"]:
    """Router z-loss: the square of the log-sum-exp of a router's logits, which keeps them small.

    Args:
        logits: [..., experts].

    Returns:
        The loss of each token [...], dtype of `logits`.

    Source: Zoph et al. 2022, eq. 5.
    """
    acc_dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return (jax.nn.logsumexp(logits.astype(acc_dtype), -1) ** 2).astype(logits.dtype)


def _rows(x: Float[Array, "batch n width"], index: Integer[Array, "batch m"]) -> Array:
    """The rows of x at an index, 0 at an index of n."""
    return jax.vmap(lambda x, i: x.at[i].get(mode="fill", fill_value=0))(x, index)


def _forward(x: Array, forth: Array, back: Array) -> tuple[Array, Array]:
    return _rows(x, forth), back


def _backward(back: Array, slope: Array) -> tuple[Array, None, None]:
    batch, rows, times = back.shape
    each = _rows(slope, back.reshape(batch, -1)).reshape(batch, rows, times, -1)
    return each.sum(2), None, None


# A gather whose transpose is a gather too: XLA's scatter, JAX's transpose of a gather, adds one row
# after the other.
@with_backward(_forward, _backward)
def _moved(
    x: Float[Array, "batch n width"],
    forth: Integer[Array, "batch m"],
    back: Integer[Array, "batch n times"],
) -> Float[Array, "batch m width"]:
    """Row forth[i] of x for each i, 0 where that is n; row j of x goes to the rows back[j]."""
    return _rows(x, forth)
