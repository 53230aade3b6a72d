"""The best tags of a linear-chain CRF: 32 sentences of up to 48 words, 25 tags."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.rows import crf_loss
from tests.benchmarks.rows.crf_loss import Size

LIMITS = {"torch": 1.0, "flax": 1.0}
FULL, TINY = crf_loss.FULL, crf_loss.TINY


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.crf.viterbi`; its number is the mean index of a tag."""
    from dlcore.kernels.crf import viterbi
    from tests.benchmarks import ours

    def best(emissions: Any, length: Any, scores: Any) -> Any:
        tags = viterbi(emissions, scores[:-2], scores[-2], scores[-1], length)
        return tags.mean(), tags

    emissions, length, _, scores = crf_loss.given(size)
    return ours.first(best, emissions, length, shared=scores)


def flax(size: Size) -> Any:
    """Returns the step with a scan that keeps the best tag before each one, and a scan back."""
    import jax
    import jax.numpy as jnp

    from tests.benchmarks import flaxed

    def best(emissions: Any, length: Any, scores: Any) -> Any:
        moves, start, end = scores[:-2], scores[-2], scores[-1]
        valid = jnp.arange(emissions.shape[1])[None] < length[:, None]

        def step(alpha: Any, x: Any) -> Any:
            emission, now = x
            each = alpha[:, :, None] + moves[None]
            return jnp.where(now[:, None], each.max(1) + emission, alpha), each.argmax(1)

        def back(tag: Any, x: Any) -> Any:
            before, now = x
            return jnp.where(now, jnp.take_along_axis(before, tag[:, None], 1)[:, 0], tag), tag

        inputs = emissions[:, 1:].swapaxes(0, 1), valid[:, 1:].T
        alpha, before = jax.lax.scan(step, start[None] + emissions[:, 0], inputs)
        last = (alpha + end[None]).argmax(-1)
        first, rest = jax.lax.scan(back, last, (before, inputs[1]), reverse=True)
        tags = jnp.concatenate([first[None], rest]).T * valid
        return tags.mean(), tags

    emissions, length, _, scores = crf_loss.given(size)
    return flaxed.first(best, emissions, length, shared=scores)


def torch(size: Size) -> Any:
    """Returns the step with a loop of one maximum per word, as in the pytorch-crf package."""
    import torch as pt

    from tests.benchmarks import torched

    emissions, length, _, scores = (pt.tensor(x) for x in crf_loss.given(size))
    valid = pt.arange(size.length)[None] < length[:, None]

    def best(x: Any) -> Any:
        moves, start, end = scores[:-2], scores[-2], scores[-1]
        alpha, before = start + x[:, 0], []
        for t in range(1, size.length):
            after, tag = (alpha[:, :, None] + moves[None]).max(1)
            alpha = pt.where(valid[:, t, None], after + x[:, t], alpha)
            before.append(tag)
        last = (alpha + end).argmax(-1)
        found = [last]
        for t in range(size.length - 1, 0, -1):
            last = pt.where(valid[:, t], before[t - 1].gather(1, last[:, None])[:, 0], last)
            found.append(last)
        tags = pt.stack(found[::-1], 1) * valid
        return tags.float().mean(), tags

    return torched.first(best, emissions)
