"""Margin losses: the true class is made harder by the margin, no other class is changed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.margin import arc_face, cos_face
from tests.kernels.case import Case

MARGIN, SCALE = 0.5, 4.0


def arc(cosine: np.ndarray, label: np.ndarray) -> np.ndarray:
    """By the angle itself; where it would exceed pi, the authors' straight line."""
    out = SCALE * cosine
    for row, true in enumerate(label):
        cos = cosine[row, true]
        if cos > -np.cos(MARGIN):
            sine = max(np.sin(np.arccos(np.clip(cos, -1, 1))), 1e-3)
            out[row, true] = SCALE * (cos * np.cos(MARGIN) - sine * np.sin(MARGIN))
        else:
            out[row, true] = SCALE * (cos - MARGIN * np.sin(MARGIN))
    return out


def cos(cosine: np.ndarray, label: np.ndarray) -> np.ndarray:
    return SCALE * (cosine - MARGIN * np.eye(cosine.shape[1])[label])


def made(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return generator.uniform(-0.8, 0.95, (6, 4)), np.arange(6, dtype=np.int32) % 4


LABEL = np.zeros(3, np.int32)
EDGES = {
    "the same direction": (np.ones((3, 2)), LABEL),
    "the opposite direction": (-np.ones((3, 2)), LABEL),
    "a right angle": (np.zeros((3, 2)), LABEL),
}
CASES = {
    "arc_face": Case(
        lambda c, y: arc_face(c, y, MARGIN, SCALE), arc, made, (0,), (0, 1), edges=EDGES
    ),
    "cos_face": Case(
        lambda c, y: cos_face(c, y, MARGIN, SCALE), cos, made, (0,), (0, 1), edges=EDGES
    ),
}


@pytest.mark.slow
def test_the_true_class_always_loses_more_the_larger_its_angle_is() -> None:
    """Also beyond pi - margin, where the cosine of the larger angle would rise."""
    cosine = jnp.linspace(-1, 1, 401)[:, None]
    slope = jax.grad(lambda c: arc_face(c, jnp.zeros(401, jnp.int32), 0.5, 1.0).sum())(cosine)
    assert (np.asarray(slope) > 0).all()


@pytest.mark.slow
def test_no_margin_leaves_scaled_cosines() -> None:
    cosine, label = made(np.random.default_rng(0))
    for kernel in (arc_face, cos_face):
        found = kernel(jnp.asarray(cosine, jnp.float32), label, 0.0, 2.0)
        np.testing.assert_allclose(found, 2 * cosine, rtol=1e-6)
    with pytest.raises(ValueError, match="outside"):
        arc_face(jnp.asarray(cosine), label, -0.1, 1.0)
