"""Connectionist temporal classification: against the sum over every path, and what padding and
impossible labels do.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.kernels.ctc import ctc_loss
from tests.kernels.case import Case


def collapsed(path: tuple[int, ...]) -> list[int]:
    """Repetitions are one, blanks are none."""
    return [c for c, _ in itertools.groupby(path) if c]


def reference(
    logits: np.ndarray, frames: np.ndarray, labels: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """The sum over all paths, one by one."""
    out = []
    for x, n, label, m in zip(logits, frames, labels, count, strict=True):
        log_p = (
            x[:n]
            - np.log(np.exp(x[:n] - x[:n].max(-1, keepdims=True)).sum(-1, keepdims=True))
            - x[:n].max(-1, keepdims=True)
        )
        paths = [
            p
            for p in itertools.product(range(x.shape[-1]), repeat=int(n))
            if collapsed(p) == list(label[:m])
        ]
        sums = [sum(log_p[t, c] for t, c in enumerate(p)) for p in paths]
        out.append(-np.logaddexp.reduce(sums) if sums else np.inf)
    return np.array(out)


FRAMES, COUNT = np.array([5, 4, 5, 3], np.int32), np.array([2, 1, 3, 0], np.int32)
# different, one, a repetition, none
LABELS = np.array([[1, 2, 0], [2, 2, 2], [1, 1, 2], [1, 2, 1]], np.int32)


def made(generator: np.random.Generator) -> tuple[Any, ...]:
    return generator.standard_normal((4, 5, 3)), FRAMES, LABELS, COUNT


X = np.random.default_rng(1).standard_normal((4, 5, 3))
PADDED = np.where(np.arange(5)[None, :, None] < FRAMES[:, None, None], X, np.nan)
CASES = {
    "ctc_loss": Case(
        lambda x, *rest: ctc_loss(x, *rest).astype(x.dtype),
        reference,
        made,
        grads=(0,),
        batched=(0, 1, 2, 3),
        f32=2e-6,
        edges={
            "one frame": (
                X[:2, :1],
                np.array([1, 1], np.int32),
                LABELS[:2],
                np.array([1, 0], np.int32),
            ),
            "padding is not a number": (PADDED, FRAMES, LABELS, COUNT),
            "too few frames": (X, np.array([1, 0, 3, 0], np.int32), LABELS, COUNT),
            "huge": (1e4 * np.sign(X), FRAMES, LABELS, COUNT),
            "tiny": (1e-30 * X, FRAMES, LABELS, COUNT),
        },
    )
}


@pytest.mark.slow
def test_the_gradient_is_that_of_optax() -> None:
    generator = np.random.default_rng(2)
    x, labels = (
        jnp.asarray(generator.standard_normal((3, 30, 6)), jnp.float32),
        jnp.asarray(generator.integers(1, 6, (3, 8))),
    )
    frames, count = jnp.array([30, 25, 28]), jnp.array([8, 3, 7])
    padding = (jnp.arange(n)[None] >= of[:, None] for n, of in ((30, frames), (8, count)))
    absent, missing = (p.astype(jnp.float32) for p in padding)
    weight = jnp.arange(1.0, 4.0)
    ours = jax.jit(
        jax.value_and_grad(lambda x: (ctc_loss(x, frames, labels, count) * weight).sum())
    )(x)
    theirs = jax.jit(
        jax.value_and_grad(lambda x: (optax.ctc_loss(x, absent, labels, missing) * weight).sum())
    )(x)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
def test_labels_that_do_not_fit_the_frames_cost_infinity_and_teach_nothing() -> None:
    x = jnp.asarray(X[:1], jnp.float32)
    # 1, blank, 1, 2: four frames at least
    args = jnp.array([3]), jnp.array([[1, 1, 2]]), jnp.array([3])
    loss, slope = jax.jit(jax.value_and_grad(lambda x: ctc_loss(x, *args).sum()))(x)
    assert loss == np.inf
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ctc_loss(jnp.zeros((2, 5, 3)), jnp.zeros(1, int), jnp.zeros((2, 2), int), jnp.zeros(2, int))


@pytest.mark.slow
def test_what_fills_the_labels_up_need_not_be_a_class() -> None:
    logits = jax.random.normal(jax.random.key(0), (2, 6, 5))
    frames, count = jnp.array([6, 5]), jnp.array([2, 1])
    slope = jax.jit(jax.grad(lambda x, labels: ctc_loss(x, frames, labels, count).sum()))
    slopes = [
        slope(logits, np.array(labels))
        for labels in ([[1, 2, 99], [3, 99, -1]], [[1, 2, 0], [3, 0, 0]])
    ]
    assert np.isfinite(slopes[0]).all()
    np.testing.assert_array_equal(*slopes)
