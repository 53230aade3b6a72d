"""Style: Gram matrices, moments that are taken over, and what normalisation ignores."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.style import adain, gram, instance_norm
from tests.kernels.case import Case, normals

EPS = 1e-5
AXES = (1, 2)


def products(x: np.ndarray) -> np.ndarray:
    return np.einsum("bhwc,bhwd->bcd", x, x) / (x.shape[1] * x.shape[2])


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(AXES, keepdims=True), np.sqrt(x.var(AXES, keepdims=True) + EPS)


def moved(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    (mean, deviation), (style_mean, style_deviation) = moments(content), moments(style)
    return (content - mean) / deviation * style_deviation + style_mean


def normalised(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mean, deviation = moments(x)
    return (x - mean) / deviation * scale + bias


def _edges(*more: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
    pictures = {
        "one position": np.array([[[[3.0, -2.0]]]]),
        "constant": np.full((1, 2, 2, 2), 2.0),
        "nothing": np.zeros((1, 2, 2, 2)),
        "not a number": np.array([[[[np.nan, 1.0]], [[0.0, 2.0]]]]),
    }
    return {name: (x, *more) for name, x in pictures.items()}


CASES = {
    "gram": Case(gram, products, normals((3, 4, 5, 3)), grads=(0,), edges=_edges()),
    "adain": Case(
        adain,
        moved,
        normals((3, 4, 5, 3), (3, 2, 3, 3)),
        grads=(0, 1),
        batched=(0, 1),
        f32=3e-6,
        bf16=3e-2,
        edges=_edges(np.array([[[[1.0, 2.0]], [[3.0, 2.0]]]])),
    ),
    "instance_norm": Case(
        instance_norm,
        normalised,
        normals((3, 4, 5, 3), (3,), (3,)),
        grads=(0, 1, 2),
        f32=3e-6,
        bf16=3e-2,
        edges=_edges(np.array([0.5, 2.0]), np.array([1.0, -1.0])),
    ),
}


@pytest.mark.slow
def test_the_content_takes_the_moments_of_the_style() -> None:
    content, style = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 4))
    found = adain(content, 3 * style + 2)
    np.testing.assert_allclose(found.mean(AXES), (3 * style + 2).mean(AXES), atol=1e-4)
    np.testing.assert_allclose(found.std(AXES), (3 * style).std(AXES), rtol=1e-3)
    np.testing.assert_allclose(
        instance_norm(content, jnp.ones(4), jnp.zeros(4)),
        instance_norm(5 * content + 1, jnp.ones(4), jnp.zeros(4)),
        atol=1e-3,
    )
