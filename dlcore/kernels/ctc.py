"""Connectionist temporal classification: the loss of labels that are not aligned with the input."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.derivatives import with_backward

NEVER = -1e30  # the logarithm of 0, finite so that no NaN arises from it


def _without_padding(labels: Array, count: Array) -> Array:
    """The labels, with blanks in the padding, whose values need not be classes."""
    return jnp.where(jnp.arange(labels.shape[1])[None] < count[:, None], labels, 0)


class _Paths(NamedTuple):
    """Forward variables; the states are the labels with blanks between and around them."""

    log_p: Array  # [batch, length, classes]
    valid: Array  # bool [length, batch, 1]: False where a frame is padding
    log_p_of_state: Array  # log-probability of each state's class [length, batch, states]
    skip: Array  # [batch, states]: 0 where a state can be reached from the last but one, else NEVER
    alpha: Array  # forward variables [length, batch, states]
    last: Array  # forward variables at each sequence's own end [batch, states]


def _paths(logits: Array, frames: Array, labels: Array) -> _Paths:
    log_p = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), -1)
    log_p = jnp.maximum(log_p, NEVER)
    states = _states(labels)
    last_but_one = jnp.pad(states, ((0, 0), (2, 0)))[:, :-2]
    # A blank between two labels can be skipped unless they are equal.
    skip = jnp.where((states != 0) & (states != last_but_one), 0, NEVER).astype(log_p.dtype)
    log_p_of_state = jnp.take_along_axis(log_p.swapaxes(0, 1), states[None], -1)

    def step(alpha: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        log_p_now, valid = x
        padded = jnp.pad(alpha, ((0, 0), (2, 0)), constant_values=NEVER)
        after = _log_sum(alpha, padded[:, 1:-1], padded[:, :-2] + skip, log_p_now)
        after = jnp.where(valid, after, alpha)
        return after, after

    valid = jnp.arange(len(log_p_of_state))[:, None, None] < frames[None, :, None]
    # as if a blank had come before the first frame
    start = jnp.full(skip.shape, NEVER, skip.dtype).at[:, 0].set(0)
    last, alpha = jax.lax.scan(step, start, (log_p_of_state, valid))
    return _Paths(log_p, valid, log_p_of_state, skip, alpha, last)


def _log_sum(a: Array, b: Array, c: Array, log_p: Array | float = 0.0) -> Array:
    """log(e^a + e^b + e^c) + log_p, NEVER at least."""
    top = jnp.maximum(jnp.maximum(a, b), c)
    return jnp.maximum(
        top + jnp.log(jnp.exp(a - top) + jnp.exp(b - top) + jnp.exp(c - top)) + log_p, NEVER
    )


def _forward(logits: Array, frames: Array, labels: Array, count: Array) -> tuple[Array, Array]:
    """The loss and its gradient by the logits."""
    labels = _without_padding(labels, count)
    paths = _paths(logits, frames, labels)
    log_likelihood = _log_likelihood(paths.last, count)
    # into the next state but one
    skip_ahead = jnp.pad(paths.skip, ((0, 0), (0, 2)), constant_values=NEVER)[:, 2:]

    def step(beta: Array, x: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """`beta`: log-probability of the labels that remain after this frame, from each state.

        Also returns the posterior probability of each state at this frame.
        """
        log_p_now, valid, alpha = x
        padded = jnp.pad(beta + log_p_now, ((0, 0), (0, 2)), constant_values=NEVER)
        before = jnp.where(
            valid, _log_sum(padded[:, :-2], padded[:, 1:-1], padded[:, 2:] + skip_ahead), beta
        )
        return before, jnp.exp(alpha + beta - log_likelihood[:, None])

    to_end = 2 * count[:, None] - jnp.arange(paths.skip.shape[1])[None]
    end = jnp.where((to_end == 0) | (to_end == 1), 0, NEVER).astype(paths.skip.dtype)
    inputs = (paths.log_p_of_state, paths.valid, paths.alpha)
    posterior = jax.lax.scan(step, end, inputs, reverse=True)[1]
    # One-hot classes of the states: a product sums the posteriors of the states of one class.
    one_hot = jax.nn.one_hot(_states(labels), logits.shape[-1], dtype=posterior.dtype, axis=1)
    of_class = jnp.einsum("tbs,bcs->btc", posterior, one_hot, precision=jax.lax.Precision.HIGHEST)
    valid = paths.valid.swapaxes(0, 1) & ~(log_likelihood <= NEVER / 2)[:, None, None]
    loss = _loss(log_likelihood)
    return loss, jnp.where(valid, jnp.exp(paths.log_p) - of_class, 0).astype(logits.dtype)


def _backward(gradient: Array, dy: Array) -> tuple[Array, None, None, None]:
    return gradient * dy[:, None, None].astype(gradient.dtype), None, None, None


@with_backward(_forward, _backward)
def ctc_loss(
    logits: Float[Array, "batch length classes"],
    frames: Integer[Array, " batch"],
    labels: Integer[Array, "batch most"],
    count: Integer[Array, " batch"],
) -> Float[Array, " batch"]:
    """Computes the CTC loss: -log of the total probability of all alignments of the labels.

    Forward and backward variables (eqs. 5 to 11 of the source) are computed as logarithms, in one
    scan each. The gradient by the logits (eq. 16) is softmax(logits) minus the posterior
    probability of each class; it is computed together with the loss where one is requested. Half
    the time of `optax.ctc_loss` on CPU (`python -m tests.benchmarks ctc_loss`). Forward-mode
    derivatives: see `derivatives.plain_derivatives`.

    Args:
        logits: [batch, length, classes], floating; class 0 is the blank.
        frames: number of valid frames of each sequence [batch], integers; the rest is padding.
        labels: classes [batch, most], integers from 1 to classes - 1.
        count: number of valid labels of each sequence [batch], integers; the rest is padding, which
            may have any value.

    Returns:
        Losses in nats [batch], float32 or wider. Infinite, with a gradient of 0, where there are
        too few frames for the labels.

    Raises:
        ValueError: `logits` or `labels` have another number of axes, or batch sizes differ.

    Source: Graves et al. 2006.
    """
    if (
        logits.ndim != 3
        or labels.ndim != 2
        or not len(logits) == len(labels) == len(frames) == len(count)
    ):
        raise ValueError(
            f"logits {logits.shape}, labels {labels.shape}, frames {frames.shape} and count"
            f" {count.shape} do not fit"
        )
    paths = _paths(logits, frames, _without_padding(labels, count))
    return _loss(_log_likelihood(paths.last, count))


def _states(labels: Array) -> Array:
    """Labels with blanks between and around them, [batch, 2 most + 1]."""
    pairs = jnp.stack([jnp.zeros_like(labels), labels], -1).reshape(
        len(labels), 2 * labels.shape[1]
    )
    return jnp.pad(pairs, ((0, 0), (0, 1)))


def _log_likelihood(last: Array, count: Array) -> Array:
    """Log-probability of all paths that end in the last label or the blank after it."""
    blank = jnp.take_along_axis(last, 2 * count[:, None], 1)[:, 0]
    label = jnp.take_along_axis(last, jnp.maximum(2 * count[:, None] - 1, 0), 1)[:, 0]
    return jnp.logaddexp(blank, jnp.where(count > 0, label, NEVER))


def _loss(log_likelihood: Array) -> Array:
    return jnp.where(log_likelihood <= NEVER / 2, jnp.inf, -log_likelihood)
