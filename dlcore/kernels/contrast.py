"""Losses that compare the embeddings of the examples of a batch with one another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_CLOSEST = 1e-6  # squared distance below which its root has no gradient


def unit_length(x: Float[Array, "*batch n"], eps: float = 1e-6) -> Float[Array, "*batch n"]:
    """Divides vectors by their Euclidean length: x / max(|x|, eps).

    Args:
        x: vectors [..., n], floating.
        eps: the smallest divisor, so that value and gradient are finite at 0.

    Returns:
        Shape and dtype of `x`; the length is computed in float32 or wider.
    """
    upcast = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    square = jnp.maximum((upcast * upcast).sum(-1, keepdims=True), eps * eps)
    return (upcast * jax.lax.rsqrt(square)).astype(x.dtype)


def info_nce(
    anchor: Float[Array, "rows n"],
    candidate: Float[Array, "candidates n"],
    positive: Bool[Array, "rows candidates"],
    counted: Bool[Array, "rows candidates"],
    temperature: float,
) -> Float[Array, " rows"]:
    """Computes the contrastive cross-entropy of each anchor's positives among its candidates.

    -1 / |P| sum over p in P of log(exp(a.p / t) / sum over counted c of exp(a.c / t)). With the
    other view of the same example as only positive it is NT-Xent (SimCLR), with the paired
    embedding of another network InfoNCE (CPC, CLIP), with all examples of the same class the
    supervised contrastive loss.

    Args:
        anchor: embeddings of unit length [rows, n], floating.
        candidate: embeddings of unit length [candidates, n], same dtype.
        positive: which candidates are positives of an anchor [rows, candidates].
        counted: which candidates an anchor is compared with [rows, candidates]; False for the
            anchor itself and for padding. Positives that are not counted are left out.
        temperature: t, above 0.

    Returns:
        Losses in nats [rows], dtype of `anchor`, computed in float32 or wider; 0 for an anchor
        without positives.

    Raises:
        ValueError: the temperature is not above 0.

    Source: van den Oord et al. 2018, eq. 4; Chen et al. 2020, eq. 1; Khosla et al. 2020, eq. 2.
    """
    if temperature <= 0:
        raise ValueError(f"a temperature must be above 0, not {temperature}")
    acc_dtype = jnp.promote_types(anchor.dtype, jnp.float32)
    logits = _products(anchor, candidate, acc_dtype) / temperature
    positive = positive & counted
    log_sum = jax.nn.logsumexp(jnp.where(counted, logits, _lowest(acc_dtype)), -1)
    count = positive.sum(-1)
    of_positives = jnp.where(positive, logits, 0).sum(-1) / jnp.maximum(count, 1)
    return jnp.where(count > 0, log_sum - of_positives, 0).astype(anchor.dtype)


def batch_hard_triplet(
    anchor: Float[Array, "rows n"],
    candidate: Float[Array, "candidates n"],
    positive: Bool[Array, "rows candidates"],
    counted: Bool[Array, "rows candidates"],
    margin: float,
) -> Float[Array, " rows"]:
    """Triplet loss with the hardest candidates: max(0, margin + d(positive) - d(negative)).

    d is the distance sqrt(2 - 2 a.c) of vectors of unit length, not its square, with which all
    embeddings tend to collapse to one (Hermans et al. 2017); of the counted candidates
    the positive that is farthest and the negative that is nearest are taken.

    Args:
        anchor, candidate, positive, counted: as of `info_nce`; negatives are the counted
            candidates that are not positives.
        margin: by which the distance of a negative is to exceed that of a positive.

    Returns:
        Losses [rows], dtype of `anchor`; 0 for an anchor without a positive or without a negative.

    Source: Schroff et al. 2015, eq. 3; Hermans et al. 2017, eq. 5.
    """
    acc_dtype = jnp.promote_types(anchor.dtype, jnp.float32)
    cosine = _products(anchor, candidate, acc_dtype)
    positive, negative = positive & counted, ~positive & counted
    nearest = jnp.where(negative, cosine, _lowest(acc_dtype)).max(-1)
    farthest = jnp.where(positive, cosine, -_lowest(acc_dtype)).min(-1)
    both = positive.any(-1) & negative.any(-1)
    # of an anchor without both the distances are not used, and their gradients must be finite
    squares = (jnp.where(both, 2 - 2 * c, 1.0) for c in (nearest, farthest))
    near, far = (jnp.sqrt(jnp.maximum(square, _CLOSEST)) for square in squares)
    loss = jnp.maximum(margin + far - near, 0)
    return jnp.where(both, loss, 0).astype(anchor.dtype)


def _lowest(dtype: jnp.dtype) -> float:
    """A finite number in place of -inf: gradients of a row without candidates stay finite."""
    return float(jnp.finfo(dtype).min) / 8


def _products(anchor: Array, candidate: Array, dtype: jnp.dtype) -> Array:
    """Dot products [rows, candidates], accumulated in a wider type."""
    return jnp.matmul(
        anchor.astype(dtype), candidate.astype(dtype).T, precision=jax.lax.Precision.HIGHEST
    )
