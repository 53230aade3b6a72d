"""The loss of a linear-chain CRF alone, with gradients: 32 sentences of up to 48 words, 25 tags."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: words of a sentence, tags, sentences in a batch."""

    length: int = 48
    tags: int = 25
    batch: int = 32


FULL, TINY = Size(), Size(6, 4, 4)


def given(size: Size) -> tuple[np.ndarray, ...]:
    """Draws emissions, lengths, true tags and transitions, whose last rows are start and end."""
    rng = np.random.default_rng(0)
    emissions = rng.normal(size=(size.batch, size.length, size.tags)).astype(np.float32)
    length = rng.integers(size.length // 3, size.length + 1, size.batch).astype(np.int32)
    tags = rng.integers(0, size.tags, (size.batch, size.length)).astype(np.int32)
    scores = rng.normal(size=(size.tags + 2, size.tags)).astype(np.float32)
    return emissions, length, tags, scores


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.crf.crf_loss`."""
    from dlcore.kernels.crf import crf_loss
    from tests.benchmarks import ours

    def loss(emissions: Any, length: Any, tags: Any, scores: Any) -> Any:
        return crf_loss(emissions, scores[:-2], scores[-2], scores[-1], length, tags).mean()

    *batch, shared = given(size)
    return ours.slope(loss, *batch, shared=shared)


def flax(size: Size) -> Any:
    """Returns the step with a scan of log-sum-exps, differentiated by JAX."""
    import jax
    import jax.numpy as jnp

    from tests.benchmarks import flaxed

    def loss(emissions: Any, length: Any, tags: Any, scores: Any) -> Any:
        moves, start, end = scores[:-2], scores[-2], scores[-1]
        valid = jnp.arange(emissions.shape[1])[None] < length[:, None]

        def step(alpha: Any, x: Any) -> Any:
            emission, now = x
            after = jax.nn.logsumexp(alpha[:, :, None] + moves[None], 1) + emission
            return jnp.where(now[:, None], after, alpha), None

        first = start[None] + emissions[:, 0]
        inputs = emissions[:, 1:].swapaxes(0, 1), valid[:, 1:].T
        total = jax.nn.logsumexp(jax.lax.scan(step, first, inputs)[0] + end[None], -1)
        path = jnp.take_along_axis(emissions, tags[..., None], -1)[..., 0]
        steps = moves[tags[:, :-1], tags[:, 1:]]
        last = jnp.take_along_axis(tags, length[:, None] - 1, 1)[:, 0]
        score = (path * valid).sum(1) + (steps * valid[:, 1:]).sum(1)
        return (total - score - start[tags[:, 0]] - end[last]).mean()

    *batch, shared = given(size)
    return flaxed.slope(loss, *batch, shared=shared)


def torch(size: Size) -> Any:
    """Returns the step with a loop of one log-sum-exp per word, as in the pytorch-crf package."""
    import torch as pt

    from tests.benchmarks import torched

    emissions, length, tags, scores = (pt.tensor(x) for x in given(size))
    tags, length = tags.long(), length.long()
    valid = pt.arange(size.length)[None] < length[:, None]
    shared = scores.requires_grad_()

    def loss(x: Any) -> Any:
        moves, start, end = shared[:-2], shared[-2], shared[-1]
        alpha = start + x[:, 0]
        for t in range(1, size.length):
            after = pt.logsumexp(alpha[:, :, None] + moves[None], 1) + x[:, t]
            alpha = pt.where(valid[:, t, None], after, alpha)
        total = pt.logsumexp(alpha + end, -1)
        path = x.gather(-1, tags[..., None])[..., 0]
        steps = moves[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, length[:, None] - 1)[:, 0]
        score = (path * valid).sum(1) + (steps * valid[:, 1:]).sum(1)
        return (total - score - start[tags[:, 0]] - end[last]).mean()

    return torched.slope(loss, emissions, shared)
