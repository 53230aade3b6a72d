"""Linear-chain conditional random fields: partition function, loss, marginals and best paths."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, Shaped

from dlcore.kernels.derivatives import with_backward

# Products of probabilities are exact to rounding while transitions differ by no more than this: a
# state that underflows (below e^-87 in float32) adds less than e^-17 of what another state adds.
RANGE = 70.0

Step = Callable[[Array, Array], Array]  # (scores [batch, tags], matrix) -> log(e^scores e^matrix)


class _Chain(NamedTuple):
    """Scores with time first, in float32 or wider."""

    emissions: Array  # [length, batch, tags], 0 at padding
    transitions: Array  # [tags, tags]
    start: Array  # [tags]
    end: Array  # [tags]
    valid: Array  # bool [length, batch, 1]


def _chain(emissions: Array, transitions: Array, start: Array, end: Array, length: Array) -> _Chain:
    tags = emissions.shape[-1]
    fits = transitions.shape == (tags, tags) and start.shape == end.shape == (tags,)
    if emissions.ndim != 3 or not fits or length.shape != emissions.shape[:1]:
        raise ValueError(
            f"emissions {emissions.shape}, transitions {transitions.shape}, start {start.shape},"
            f" end {end.shape} and length {length.shape} do not fit"
        )
    dtype = jnp.promote_types(emissions.dtype, jnp.float32)
    e = jnp.asarray(emissions, dtype).swapaxes(0, 1)
    valid = (jnp.arange(len(e))[:, None] < length[None])[..., None]
    t, first, last = (jnp.asarray(x, dtype) for x in (transitions, start, end))
    return _Chain(jnp.where(valid, e, 0), t, first, last, valid)


def _centred(c: _Chain) -> tuple[_Chain, Array]:
    """The chain with emissions of at most 0, and the sum of what was subtracted [batch].

    Float32 then holds the differences between good paths however large the emissions are.
    """
    top = jax.lax.stop_gradient(jnp.max(c.emissions, -1, keepdims=True))
    return c._replace(emissions=c.emissions - top), top.sum((0, 2))


def _by_products(x: Array, matrix: Array) -> Array:
    """log(e^x e^matrix) as a product of matrices; x [batch, tags]."""
    top, scale = jnp.max(x, -1, keepdims=True), jnp.max(matrix)
    product = jnp.matmul(
        jnp.exp(x - top), jnp.exp(matrix - scale), precision=jax.lax.Precision.HIGHEST
    )
    return jnp.log(product) + (top + scale)


def _by_logarithms(x: Array, matrix: Array) -> Array:
    """The same for transitions of any range."""
    return jax.nn.logsumexp(x[:, :, None] + matrix[None], 1)


def _choose(chain: _Chain, function: Callable[[Step, _Chain], Any]) -> Any:
    """Calls `function` with the step that the range of the transitions allows."""
    narrow = jnp.max(chain.transitions) - jnp.min(chain.transitions) <= RANGE
    return jax.lax.cond(
        narrow,
        functools.partial(function, _by_products),
        functools.partial(function, _by_logarithms),
        chain,
    )


def _alpha(step: Step, c: _Chain) -> Array:
    """Log-sums of all paths up to each position and tag [length, batch, tags]."""

    def advance(alpha: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        emission, valid = x
        alpha = jnp.where(valid, step(alpha, c.transitions) + emission, alpha)
        return alpha, alpha

    first = c.start[None] + c.emissions[0]
    rest = jax.lax.scan(advance, first, (c.emissions[1:], c.valid[1:]))[1]
    return jnp.concatenate([first[None], rest])


def _beta(step: Step, c: _Chain) -> Array:
    """Log-sums of all paths after each position and tag [length, batch, tags]."""
    backwards, last = c.transitions.T, jnp.broadcast_to(c.end[None], c.emissions.shape[1:])

    def retreat(beta: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        emission, valid = x
        beta = jnp.where(valid, step(emission + beta, backwards), last)
        return beta, beta

    rest = jax.lax.scan(retreat, last, (c.emissions[1:], c.valid[1:]), reverse=True)[1]
    return jnp.concatenate([rest, last[None]])


def _total(c: _Chain, alpha: Array) -> Array:
    """Log-sum of all paths [batch]; 0 for an empty chain."""
    total = jax.nn.logsumexp(alpha[-1] + c.end[None], -1)
    return jnp.where(c.valid[0, :, 0], total, 0)


def _partition(step: Step, c: _Chain) -> tuple[Array, Array]:
    alpha = _alpha(step, c)
    return _total(c, alpha), alpha


def _forward(
    emissions: Array, transitions: Array, start: Array, end: Array, length: Array
) -> tuple[Array, tuple[object, ...]]:
    c, top = _centred(_chain(emissions, transitions, start, end, length))
    total, alpha = _choose(c, _partition)
    like = tuple(jnp.zeros((), x.dtype) for x in (emissions, transitions, start, end))
    return total + top, (c, alpha, total, length, like)


def _backward(
    saved: tuple[_Chain, Array, Array, Array, tuple[Array, ...]], dy: Array
) -> tuple[Array | None, ...]:
    c, alpha, total, length, like = saved

    def slopes(step: Step, c: _Chain) -> tuple[Array, Array]:
        beta = _beta(step, c)
        weight = jnp.where(c.valid, dy[None, :, None], 0)
        unary = jax.nn.softmax(alpha + beta, -1) * weight
        after = (c.emissions + beta)[1:]
        pairs = _pairs_by_products if step is _by_products else _pairs_by_logarithms
        return unary, pairs(c.transitions, alpha[:-1], after, total, weight[1:])

    unary, pairs = _choose(c, slopes)
    last = jnp.arange(len(unary))[:, None] == length[None] - 1
    of_end = jnp.where(last[..., None], unary, 0).sum((0, 1))
    gradients = unary.swapaxes(0, 1), pairs, unary[0].sum(0), of_end
    return *(g.astype(x.dtype) for g, x in zip(gradients, like, strict=True)), None


def _pairs_by_products(
    transitions: Array, before: Array, after: Array, total: Array, weight: Array
) -> Array:
    """Sum of the marginals of pairs of tags [tags, tags], in one product over all positions."""
    scale = jnp.max(transitions)
    top, peak = (jnp.max(x, -1, keepdims=True) for x in (before, after))
    factor = jnp.where(weight != 0, top + peak + scale - total[None, :, None], 0)
    left = jnp.exp(before - top) * jnp.exp(factor) * weight
    right = jnp.exp(after - peak)
    product = jnp.einsum("tbi,tbj->ij", left, right, precision=jax.lax.Precision.HIGHEST)
    return product * jnp.exp(transitions - scale)


def _pairs_by_logarithms(
    transitions: Array, before: Array, after: Array, total: Array, weight: Array
) -> Array:
    def add(pairs: Array, x: tuple[Array, Array, Array]) -> tuple[Array, None]:
        left, right, w = x
        log_p = left[:, :, None] + transitions[None] + right[:, None] - total[:, None, None]
        log_p = jnp.where(w[..., None] != 0, log_p, 0)
        return pairs + (jnp.exp(log_p) * w[..., None]).sum(0), None

    return jax.lax.scan(add, jnp.zeros_like(transitions), (before, after, weight))[0]


@with_backward(_forward, _backward)
def log_partition(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
) -> Float[Array, " batch"]:
    """Computes log(sum of e^score) over all tag sequences of linear chains.

    The score of tags y of a chain of n positions is start[y_0] + sum of emissions[t, y_t] + sum of
    transitions[y_(t-1), y_t] + end[y_(n-1)]. A step of the forward recursion is a product of
    matrices of scaled probabilities where transitions differ by at most `RANGE`, else a log-sum-exp
    over pairs. The backward pass computes the marginals. Forward-mode derivatives: see
    `derivatives.plain_derivatives`.

    Args:
        emissions: scores of each tag [batch, length, tags], floating; -inf excludes a tag.
        transitions: score of each tag (column) after another one (row) [tags, tags], finite.
        start, end: scores of the first and of the last tag [tags], finite.
        length: valid positions of each chain [batch]; the rest is padding, whose contents, even
            NaN, change nothing.

    Returns:
        [batch], float32 or wider; 0 where a chain is empty.

    Raises:
        ValueError: the shapes do not fit; all functions of this module check them.

    Source: Lafferty et al. 2001; Sutton & McCallum 2012, sec. 4.1.
    """
    c, top = _centred(_chain(emissions, transitions, start, end, length))
    return _choose(c, _partition)[0] + top


def path_score(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
    tags: Integer[Array, "batch length"],
) -> Float[Array, " batch"]:
    """Computes the scores [batch] of given tag sequences, float32 or wider; 0 for an empty chain.

    Args:
        emissions, transitions, start, end, length: as of `log_partition`, which defines the score.
        tags: a tag of each position [batch, length]; padding is ignored.
    """
    c = _chain(emissions, transitions, start, end, length)
    # One-hot: on CPU the gradient of a gather is a slow scatter. Emissions of -inf times 0 are NaN.
    one_hot = jax.nn.one_hot(tags.T, emissions.shape[-1], dtype=c.emissions.dtype)
    one_hot = jnp.where(c.valid, one_hot, 0)
    last = jnp.arange(len(one_hot))[:, None] == length[None] - 1
    ends = (one_hot @ c.end) * last
    moves = jnp.einsum(
        "tbi,ij->tbj", one_hot[:-1], c.transitions, precision=jax.lax.Precision.HIGHEST
    )
    inner = jnp.where(one_hot > 0, c.emissions, 0).sum((0, 2)) + (moves * one_hot[1:]).sum((0, 2))
    return inner + one_hot[0] @ c.start + ends.sum(0)


def crf_loss(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
    tags: Integer[Array, "batch length"],
) -> Float[Array, " batch"]:
    """Computes the negative log-likelihood [batch] of tag sequences, in nats; 0 for an empty chain.

    Args:
        emissions, transitions, start, end, length: as of `log_partition`.
        tags: the true tag of each position [batch, length]; padding is ignored.

    Source: Lafferty et al. 2001, eq. 1; Lample et al. 2016, sec. 2.2.
    """
    e = emissions.astype(jnp.promote_types(emissions.dtype, jnp.float32))
    # what all tags of a position have in common cancels out, here before it is rounded
    e = e - jax.lax.stop_gradient(jnp.max(e, -1, keepdims=True))
    given = e, transitions, start, end, length
    return log_partition(*given) - path_score(*given, tags)


def _both(step: Step, c: _Chain) -> tuple[Array, Array]:
    return _alpha(step, c), _beta(step, c)


def marginals(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
) -> Float[Array, "batch length tags"]:
    """Computes the probability of each tag at each position, float32 or wider; 0 at padding.

    Args:
        emissions, transitions, start, end, length: as of `log_partition`.
    """
    c, _ = _centred(_chain(emissions, transitions, start, end, length))
    alpha, beta = _choose(c, _both)
    # Not by the log-partition: a softmax sums to 1 however large the scores are.
    p = jax.nn.softmax(alpha + beta, -1)
    return jnp.where(c.valid, p, 0).swapaxes(0, 1)


def viterbi(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
) -> Integer[Array, "batch length"]:
    """Finds the highest-scoring tag sequence of each chain, int32 [batch, length]; 0 at padding.

    Ties are broken from the last position backwards, in favour of the lower tag.

    Args:
        emissions, transitions, start, end, length: as of `log_partition`.

    Source: Viterbi 1967.
    """
    c = _chain(emissions, transitions, start, end, length)
    best = _alpha(lambda x, matrix: jnp.max(x[:, :, None] + matrix[None], 1), c)
    position = jnp.arange(len(best))

    def trace(after: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        scores, t = x
        following = jnp.where((t == length - 1)[:, None], c.end[None], c.transitions.T[after])
        tag = jnp.where(t < length, jnp.argmax(scores + following, -1), 0).astype(jnp.int32)
        return tag, tag

    start_tag = jnp.zeros(length.shape, jnp.int32)
    return jax.lax.scan(trace, start_tag, (best, position), reverse=True)[1].T


def span_scores(
    emissions: Float[Array, "batch length tags"],
    transitions: Float[Array, "tags tags"],
    start: Float[Array, " tags"],
    end: Float[Array, " tags"],
    length: Integer[Array, " batch"],
    tags: Integer[Array, "batch length"],
    continues: Shaped[Array, "tags tags"],
) -> Float[Array, "batch length 2"]:
    """Computes two terms per position, of which the log-probability of any span is the sum.

    With p = span_scores(...)[b] and i <= j, exp(p[i, 0] + p[j, 1]) is the probability that the
    positions i to j have the given tags and that no tag follows that continues the span.

    Args:
        emissions, transitions, start, end, length: as of `log_partition`.
        tags: a tag of each position [batch, length], such as the best sequence.
        continues: bool [tags, tags]: whether the tag of the column, after the tag of the row,
            continues the row's span.

    Returns:
        [batch, length, 2], float32 or wider; 0 at padding.
    """
    c, _ = _centred(_chain(emissions, transitions, start, end, length))
    alpha, beta = _choose(c, _both)

    def at(x: Array) -> Array:
        return jnp.take_along_axis(x, tags.T[..., None], -1)[..., 0]

    leaving = jnp.where(continues, -jnp.inf, c.transitions)[tags.T[:-1]]
    left = jax.nn.logsumexp(leaving + (c.emissions + beta)[1:], -1)
    left = jnp.concatenate([left, jnp.zeros_like(left, shape=(1, left.shape[1]))])
    is_last = jnp.arange(len(beta))[:, None] == length[None] - 1
    closing = jnp.where(is_last, c.end[tags.T], left)
    moves = c.transitions[tags.T[:-1], tags.T[1:]]
    steps = jnp.where(c.valid[..., 0], at(c.emissions), 0)
    steps = steps.at[1:].add(jnp.where(c.valid[1:, :, 0], moves, 0))
    path = jnp.cumsum(steps, 0)
    both = jnp.stack([at(alpha) - path, closing + path - _total(c, alpha)[None]], -1)
    return jnp.where(c.valid, both, 0).swapaxes(0, 1)
