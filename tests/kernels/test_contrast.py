"""Contrastive losses: each anchor against its own positives, and nothing that is not counted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.kernels.contrast import batch_hard_triplet, info_nce, unit_length
from tests.kernels.case import Case, normals

TEMPERATURE, MARGIN = 0.5, 0.4


def reference(
    anchor: np.ndarray, candidate: np.ndarray, positive: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    losses = np.zeros(len(anchor))
    for i, a in enumerate(anchor):
        own = np.flatnonzero(positive[i] & counted[i])
        if len(own):
            logits = candidate @ a / TEMPERATURE
            among = logits[counted[i]]
            total = among.max() + np.log(np.exp(among - among.max()).sum())
            losses[i] = np.mean(total - logits[own])
    return losses


def triplets(
    anchor: np.ndarray, candidate: np.ndarray, positive: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    losses = np.zeros(len(anchor))
    for i, a in enumerate(anchor):
        distance = np.sqrt(np.maximum(2 - 2 * candidate @ a, 1e-6))
        near, far = distance[~positive[i] & counted[i]], distance[positive[i] & counted[i]]
        if len(near) and len(far):
            losses[i] = max(0.0, MARGIN + far.max() - near.min())
    return losses


def made(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Nine candidates of three people, of which the first five are anchors; one is padding."""
    label = np.arange(9) % 3
    candidate = generator.standard_normal((9, 4))
    candidate /= np.linalg.norm(candidate, axis=1, keepdims=True)
    positive = label[:5, None] == label[None]
    counted = ~np.eye(5, 9, dtype=bool)
    counted[:, 7] = False
    return candidate[:5].copy(), candidate, positive, counted


A, C, P, COUNTED = made(np.random.default_rng(0))
EDGES = {
    "nothing counted": (A, C, P, np.zeros_like(COUNTED)),
    "no positives": (A, C, np.zeros_like(P), COUNTED),
    "no negatives": (A, C, np.ones_like(P), COUNTED),
    "large": (100 * A, C, P, COUNTED),
}
CASES = {
    "unit_length": Case(
        unit_length,
        lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6),
        normals((5, 3)),
        grads=(0,),
        edges={"zero": (np.zeros((2, 3)),), "tiny": (np.full((2, 3), 1e-9),)},
    ),
    "info_nce": Case(
        lambda *x: info_nce(*x, TEMPERATURE),
        reference,
        made,
        grads=(0, 1),
        batched=(0, 2, 3),
        edges=EDGES,
    ),
    "batch_hard_triplet": Case(
        lambda *x: batch_hard_triplet(*x, MARGIN),
        triplets,
        made,
        grads=(0, 1),
        batched=(0, 2, 3),
        edges=EDGES,
    ),
}


@pytest.mark.slow
def test_one_positive_each_is_the_softmax_cross_entropy_of_pairs() -> None:
    """InfoNCE of two aligned sets of embeddings, as in CLIP."""
    a, b = (unit_length(x) for x in np.random.default_rng(1).standard_normal((2, 6, 4), np.float32))
    own, every = np.eye(6, dtype=bool), np.ones((6, 6), bool)
    expected = optax.softmax_cross_entropy_with_integer_labels(a @ b.T / 0.1, jnp.arange(6))
    np.testing.assert_allclose(info_nce(a, b, own, every, 0.1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_is_not_counted_has_no_gradient() -> None:
    """Padding may hold anything."""
    anchor, clean = A.astype(np.float32), C.astype(np.float32)
    spoilt = clean.copy()
    spoilt[7] = 1e3
    for loss in (lambda c: info_nce(anchor, c, P, COUNTED, 0.5).sum(),
                 lambda c: batch_hard_triplet(anchor, c, P, COUNTED, 0.4).sum()):  # fmt: skip
        slope, other = (jax.grad(loss)(jnp.asarray(x)) for x in (clean, spoilt))
        np.testing.assert_allclose(other, slope, atol=1e-6)
        assert not np.asarray(slope)[7].any()


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        info_nce(A, C, P, COUNTED, 0.0)
