"""The probabilities of the tags of a linear-chain CRF: 32 sentences of up to 48 words, 25 tags."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.rows import crf_loss
from tests.benchmarks.rows.crf_loss import Size

LIMITS = {"torch": 1.0, "flax": 1.0}
FULL, TINY = crf_loss.FULL, crf_loss.TINY


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.crf.marginals`; its number is the mean of probable scores."""
    from dlcore.kernels.crf import marginals
    from tests.benchmarks import ours

    def probable(emissions: Any, length: Any, scores: Any) -> Any:
        p = marginals(emissions, scores[:-2], scores[-2], scores[-1], length)
        return (p * emissions).mean(), p

    emissions, length, _, scores = crf_loss.given(size)
    return ours.first(probable, emissions, length, shared=scores)


def flax(size: Size) -> Any:
    """Returns the step with a scan of log-sum-exps forwards and one backwards."""
    import jax
    import jax.numpy as jnp

    from tests.benchmarks import flaxed

    def probable(emissions: Any, length: Any, scores: Any) -> Any:
        moves, start, end = scores[:-2], scores[-2], scores[-1]
        valid = jnp.arange(emissions.shape[1])[None] < length[:, None]

        def forwards(alpha: Any, x: Any) -> Any:
            emission, now = x
            after = jax.nn.logsumexp(alpha[:, :, None] + moves[None], 1) + emission
            alpha = jnp.where(now[:, None], after, alpha)
            return alpha, alpha

        def backwards(beta: Any, x: Any) -> Any:
            emission, now = x
            before = jax.nn.logsumexp((emission + beta)[:, None] + moves[None], -1)
            beta = jnp.where(now[:, None], before, end[None])
            return beta, beta

        inputs = emissions[:, 1:].swapaxes(0, 1), valid[:, 1:].T
        first = start[None] + emissions[:, 0]
        last = jnp.broadcast_to(end[None], first.shape)
        alpha = jnp.concatenate([first[None], jax.lax.scan(forwards, first, inputs)[1]])
        beta = jax.lax.scan(backwards, last, inputs, reverse=True)[1]
        p = jax.nn.softmax(alpha + jnp.concatenate([beta, last[None]]), -1).swapaxes(0, 1)
        p = jnp.where(valid[..., None], p, 0)
        return (p * emissions).mean(), p

    emissions, length, _, scores = crf_loss.given(size)
    return flaxed.first(probable, emissions, length, shared=scores)


def torch(size: Size) -> Any:
    """Returns the step with a loop of one log-sum-exp per word and direction."""
    import torch as pt

    from tests.benchmarks import torched

    emissions, length, _, scores = (pt.tensor(x) for x in crf_loss.given(size))
    valid = pt.arange(size.length)[None] < length[:, None]

    def probable(x: Any) -> Any:
        moves, start, end = scores[:-2], scores[-2], scores[-1]
        alpha, beta = [start + x[:, 0]], [end.expand(x[:, 0].shape)]
        for t in range(1, size.length):
            after = pt.logsumexp(alpha[-1][:, :, None] + moves[None], 1) + x[:, t]
            alpha.append(pt.where(valid[:, t, None], after, alpha[-1]))
        for t in range(size.length - 1, 0, -1):
            before = pt.logsumexp((x[:, t] + beta[-1])[:, None] + moves[None], -1)
            beta.append(pt.where(valid[:, t, None], before, end))
        p = pt.softmax(pt.stack(alpha, 1) + pt.stack(beta[::-1], 1), -1) * valid[..., None]
        return (p * x).mean(), p

    return torched.first(probable, emissions)
