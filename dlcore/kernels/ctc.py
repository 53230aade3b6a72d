"""Connectionist temporal classification: the likelihood of labels whose places in the sequence are not known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

NEVER = -1e30  # the logarithm of 0, finite so that no NaN arises from it


@jax.custom_vjp
def ctc_loss(logits: Array, frames: Array, labels: Array, count: Array) -> Array:
    """-log of the sum, over all ways to stretch the labels over the frames, of the product of softmax(logits) (Graves et al. 2006).

    logits [batch, length, classes], class 0 the blank; the first `frames` [batch] of each sequence count. labels [batch, most],
    the first `count` [batch] of each. Returns [batch], in float32 at least. Infinite, with a gradient of 0, where the frames are too
    few for the labels. Forward and backward variables (eqs. 5 to 11) in logarithms, in one scan: the backward ones are the forward
    ones of the sequence and labels read from their ends. The gradient is eq. 16, softmax - what the paths make of it, and is made
    where one is asked for together with the loss. ValueError: shapes that do not fit.
    """
    if logits.ndim != 3 or labels.ndim != 2 or not len(logits) == len(labels) == len(frames) == len(count):
        raise ValueError(
            f"logits {logits.shape}, labels {labels.shape}, frames {frames.shape} and count {count.shape} do not fit"
        )
    log_p = _log_p(logits)
    spoken, leap = _spoken(log_p, labels)
    return _loss(_told(_paths(spoken, frames, leap)[1], count))


def _forward(logits: Array, frames: Array, labels: Array, count: Array) -> tuple[Array, Array]:
    batch, log_p, last = len(logits), _log_p(logits), 2 * count + 1
    spoken, leap = _spoken(log_p, labels)
    backwards, leap_back = _spoken(_reversed(log_p, frames), _reversed(labels, count))
    both = jnp.concatenate([spoken, backwards], 1), jnp.concatenate([frames, frames]), jnp.concatenate([leap, leap_back])
    every, end = _paths(*both)
    told = _told(end[:batch], count)
    after = _reversed(_reversed(every[:, batch:].swapaxes(0, 1), frames).swapaxes(1, 2), last).swapaxes(1, 2)
    # Both of them count what the frame itself says.
    share = jnp.exp((every[:, :batch] - spoken).swapaxes(0, 1) + after - told[:, None, None])
    share = jnp.where((jnp.arange(share.shape[2])[None] < last[:, None])[:, None], share, 0)
    made = jnp.einsum("bts,bcs->btc", share, _hot(labels, logits.shape[-1], share.dtype), precision=jax.lax.Precision.HIGHEST)
    counts = (jnp.arange(logits.shape[1])[None] < frames[:, None]) & ~(told <= NEVER / 2)[:, None]
    return _loss(told), jnp.where(counts[..., None], jnp.exp(log_p) - made, 0).astype(logits.dtype)


def _backward(slopes: Array, dy: Array) -> tuple[Array, None, None, None]:
    return slopes * dy[:, None, None].astype(slopes.dtype), None, None, None


ctc_loss.defvjp(_forward, _backward)


def _log_p(logits: Array) -> Array:
    return jnp.maximum(jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), -1), NEVER)


def _reversed(x: Array, size: Array) -> Array:
    """The first `size` [batch] along axis 1 from their end; what comes after them is anything."""
    place = jnp.maximum(size[:, None] - 1 - jnp.arange(x.shape[1])[None], 0)
    return jnp.take_along_axis(x, place.reshape(*place.shape, *[1] * (x.ndim - 2)), 1)


def _states(labels: Array) -> Array:
    """Labels with blanks between and around them, [batch, 2 most + 1]."""
    pairs = jnp.stack([jnp.zeros_like(labels), labels], -1).reshape(len(labels), 2 * labels.shape[1])
    return jnp.pad(pairs, ((0, 0), (0, 1)))


def _hot(labels: Array, classes: int, dtype: Any) -> Array:
    """The classes of the states, one-hot [batch, classes, states]: a product with it is a gather, and so is its gradient."""
    return jax.nn.one_hot(_states(labels), classes, dtype=dtype, axis=1)


def _spoken(log_p: Array, labels: Array) -> tuple[Array, Array]:
    """What each frame says of each state, [length, batch, states]; and 0 where a state can be entered from the last but one (a label
    that is not the one before it), NEVER elsewhere, [batch, states]."""
    states = _states(labels)
    before = jnp.pad(states, ((0, 0), (2, 0)))[:, :-2]
    leap = jnp.where((states != 0) & (states != before), 0, NEVER).astype(log_p.dtype)
    hot = _hot(labels, log_p.shape[-1], log_p.dtype)
    return jnp.einsum("btc,bcs->tbs", log_p, hot, precision=jax.lax.Precision.HIGHEST), leap


def _paths(spoken: Array, frames: Array, leap: Array) -> tuple[Array, Array]:
    """Forward variables of each frame, like `spoken`, and those of each sequence's own end, [batch, states]."""

    def step(held: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        said, counts = x
        wide = jnp.pad(held, ((0, 0), (2, 0)), constant_values=NEVER)
        one, two = wide[:, 1:-1], wide[:, :-2] + leap
        top = jnp.maximum(jnp.maximum(held, one), two)
        after = top + jnp.log(jnp.exp(held - top) + jnp.exp(one - top) + jnp.exp(two - top)) + said
        after = jnp.where(counts, jnp.maximum(after, NEVER), held)
        return after, after

    counts = jnp.arange(len(spoken))[:, None, None] < frames[None, :, None]
    start = jnp.full(leap.shape, NEVER, leap.dtype).at[:, 0].set(0)  # as if a blank had come before the first frame
    last, every = jax.lax.scan(step, start, (spoken, counts))
    return every, last


def _told(last: Array, count: Array) -> Array:
    """The logarithm of all paths' probability: those that end in the last label, or in the blank after it."""
    blank = jnp.take_along_axis(last, 2 * count[:, None], 1)[:, 0]
    label = jnp.take_along_axis(last, jnp.maximum(2 * count[:, None] - 1, 0), 1)[:, 0]
    return jnp.logaddexp(blank, jnp.where(count > 0, label, NEVER))


def _loss(told: Array) -> Array:
    return jnp.where(told <= NEVER / 2, jnp.inf, -told)
