"""Connectionist temporal classification: the likelihood of labels whose places in the sequence are
not known.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import with_backward

NEVER = -1e30  # the logarithm of 0, finite so that no NaN arises from it


def _spelt(labels: Array, count: Array) -> Array:
    """The labels that count, and blanks: whatever fills them up need not be a class."""
    return jnp.where(jnp.arange(labels.shape[1])[None] < count[:, None], labels, 0)


class _Paths(NamedTuple):
    """Forward variables; the states are the labels with blanks between and around them."""

    log_p: Array  # [batch, length, classes]
    counts: Array  # bool [length, batch, 1]: is this a frame, and not padding?
    spoken: Array  # what each frame says of each state [length, batch, states]
    skip: (
        # [batch, states]: 0 where a state is reached from the last but one (a label that is not
        # that one), NEVER elsewhere
        Array
    )
    every: Array  # forward variables of each frame, like `spoken`
    last: Array  # those of each sequence's own end [batch, states]


def _paths(logits: Array, frames: Array, labels: Array) -> _Paths:
    log_p = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), -1)
    log_p, states = jnp.maximum(log_p, NEVER), _states(labels)
    before = jnp.pad(states, ((0, 0), (2, 0)))[:, :-2]
    skip = jnp.where((states != 0) & (states != before), 0, NEVER).astype(log_p.dtype)
    spoken = jnp.take_along_axis(log_p.swapaxes(0, 1), states[None], -1)

    def step(held: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        said, counts = x
        padded = jnp.pad(held, ((0, 0), (2, 0)), constant_values=NEVER)
        after = jnp.where(counts, _added(held, padded[:, 1:-1], padded[:, :-2] + skip, said), held)
        return after, after

    counts = jnp.arange(len(spoken))[:, None, None] < frames[None, :, None]
    # as if a blank had come before the first frame
    start = jnp.full(skip.shape, NEVER, skip.dtype).at[:, 0].set(0)
    last, every = jax.lax.scan(step, start, (spoken, counts))
    return _Paths(log_p, counts, spoken, skip, every, last)


def _added(a: Array, b: Array, c: Array, said: Array | float = 0.0) -> Array:
    """log(e^a + e^b + e^c) + said, NEVER at least."""
    top = jnp.maximum(jnp.maximum(a, b), c)
    return jnp.maximum(
        top + jnp.log(jnp.exp(a - top) + jnp.exp(b - top) + jnp.exp(c - top)) + said, NEVER
    )


def _forward(logits: Array, frames: Array, labels: Array, count: Array) -> tuple[Array, Array]:
    labels = _spelt(labels, count)
    paths = _paths(logits, frames, labels)
    log_likelihood = _log_likelihood(paths.last, count)
    # into the next state but one
    jump = jnp.pad(paths.skip, ((0, 0), (0, 2)), constant_values=NEVER)[:, 2:]

    def step(rest: Array, x: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """`rest`: what the frames after this one make of each state that it may end in; and the
        state's share of all paths.
        """
        said, counts, until = x
        padded = jnp.pad(rest + said, ((0, 0), (0, 2)), constant_values=NEVER)
        before = jnp.where(
            counts, _added(padded[:, :-2], padded[:, 1:-1], padded[:, 2:] + jump), rest
        )
        return before, jnp.exp(until + rest - log_likelihood[:, None])

    to_end = 2 * count[:, None] - jnp.arange(paths.skip.shape[1])[None]
    start = jnp.where((to_end == 0) | (to_end == 1), 0, NEVER).astype(paths.skip.dtype)
    share = jax.lax.scan(step, start, (paths.spoken, paths.counts, paths.every), reverse=True)[1]
    # One-hot classes of the states: a product adds up what the states of one class have.
    hot = jax.nn.one_hot(_states(labels), logits.shape[-1], dtype=share.dtype, axis=1)
    made = jnp.einsum("tbs,bcs->btc", share, hot, precision=jax.lax.Precision.HIGHEST)
    counts = paths.counts.swapaxes(0, 1) & ~(log_likelihood <= NEVER / 2)[:, None, None]
    return _loss(log_likelihood), jnp.where(counts, jnp.exp(paths.log_p) - made, 0).astype(
        logits.dtype
    )


def _backward(slopes: Array, dy: Array) -> tuple[Array, None, None, None]:
    return slopes * dy[:, None, None].astype(slopes.dtype), None, None, None


@with_backward(_forward, _backward)
def ctc_loss(logits: Array, frames: Array, labels: Array, count: Array) -> Array:
    """-log of the sum, over all ways to stretch the labels over the frames, of the product of
    softmax(logits) (Graves et al. 2006).

    logits [batch, length, classes], class 0 the blank; the first `frames` [batch] of each sequence
    count. labels [batch, most], the first `count` [batch] of each. Returns [batch], in float32 at
    least. Infinite, with a gradient of 0, where the frames are too few for the labels. Forward and
    backward variables (eqs. 5 to 11) in logarithms, a scan each. The gradient is eq. 16, softmax -
    what the paths make of it, and is made where one is asked for together with the loss. Forward
    mode: `derivatives.plain_derivatives`. ValueError: shapes that do not fit.

    Half the time of `optax.ctc_loss` on CPU (0.51 over 32 sequences of 200 frames: `python -m
    tests.benchmarks ctc_loss`).
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
    return _loss(_log_likelihood(_paths(logits, frames, _spelt(labels, count)).last, count))


def _states(labels: Array) -> Array:
    """Labels with blanks between and around them, [batch, 2 most + 1]."""
    pairs = jnp.stack([jnp.zeros_like(labels), labels], -1).reshape(
        len(labels), 2 * labels.shape[1]
    )
    return jnp.pad(pairs, ((0, 0), (0, 1)))


def _log_likelihood(last: Array, count: Array) -> Array:
    """The logarithm of all paths' probability: those that end in the last label, or in the blank
    after it.
    """
    blank = jnp.take_along_axis(last, 2 * count[:, None], 1)[:, 0]
    label = jnp.take_along_axis(last, jnp.maximum(2 * count[:, None] - 1, 0), 1)[:, 0]
    return jnp.logaddexp(blank, jnp.where(count > 0, label, NEVER))


def _loss(log_likelihood: Array) -> Array:
    return jnp.where(log_likelihood <= NEVER / 2, jnp.inf, -log_likelihood)
