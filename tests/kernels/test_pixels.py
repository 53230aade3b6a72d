"""Losses of label maps: values by hand, ignored pixels, the Lovász extension by its definition."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.pixels import (
    dice_loss,
    lovasz_softmax,
    pixel_weights,
    weighted_cross_entropy,
)
from tests.kernels.case import Case

pytestmark = pytest.mark.slow

IGNORED = 255


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def labels(generator: np.random.Generator, classes: int = 3) -> np.ndarray:
    made = generator.integers(0, classes, (2, 4, 5)).astype(np.int32)
    made[0, :2] = 1  # class 2 may be missing
    made[1, 1, 2:] = IGNORED
    return made


def of_logits(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    return (
        generator.standard_normal((2, 4, 5, 3)),
        labels(generator),
        generator.uniform(0.2, 2, 3),
    )


def of_probabilities(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    return softmax(generator.standard_normal((2, 4, 5, 3))), labels(generator)


def cross_entropy(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = np.zeros(y.shape)
    for at in np.ndindex(y.shape):
        if y[at] != IGNORED:
            out[at] = -w[y[at]] * np.log(softmax(x[at])[y[at]])
    return out


def dice(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = []
    for p_one, y_one in zip(p, y, strict=True):
        counted = y_one != IGNORED
        scores = [
            2 * p_one[y_one == c, c].sum() / (p_one[counted, c].sum() + (y_one == c).sum())
            for c in range(p.shape[-1])
            if (y_one == c).any()
        ]
        out.append(1 - np.mean(scores) if scores else 0.0)
    return np.array(out)


def lovasz(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The Lovász extension of 1 - IoU as an integral over levels of the errors."""
    out = []
    for p_one, y_one in zip(p, y, strict=True):
        counted, losses = y_one != IGNORED, []
        for c in range(p.shape[-1]):
            true = y_one[counted] == c
            if not true.any():
                continue
            error = np.abs(true - p_one[counted, c])
            levels = np.unique(np.concatenate([[0.0], error]))
            total = 0.0
            for low, high in itertools.pairwise(levels):
                wrong = error >= high
                total += (high - low) * wrong.sum() / (true | wrong).sum()
            losses.append(total)
        out.append(np.mean(losses) if losses else 0.0)
    return np.array(out)


NONE = np.full((2, 4, 5), IGNORED, np.int32)
X, Y, W = of_logits(np.random.default_rng(3))
P = softmax(X)
CASES = {
    "weighted_cross_entropy": Case(
        lambda x, y, w: weighted_cross_entropy(x, y, w).astype(x.dtype),
        cross_entropy,
        of_logits,
        grads=(0, 2),
        batched=(0, 1),
        edges={"all ignored": (X, NONE, W), "large": (80 * X, Y, W)},
    ),
    "pixel_weights": Case(
        pixel_weights,
        lambda y, w: np.where(y == IGNORED, 0, w[np.minimum(y, 2)]),
        lambda generator: of_logits(generator)[1:],
        grads=(1,),
        batched=(0,),
        f32=0,
        bf16=0,
    ),
    "dice_loss": Case(
        lambda p, y: dice_loss(p, y).astype(p.dtype),
        dice,
        of_probabilities,
        grads=(0,),
        batched=(0, 1),
        edges={
            "all ignored": (P, NONE),
            "right": (np.eye(3)[np.minimum(Y, 2)], Y),
            "certain and wrong": (np.eye(3)[(np.minimum(Y, 2) + 1) % 3], Y),
        },
    ),
    "lovasz_softmax": Case(
        lambda p, y: lovasz_softmax(p, y).astype(p.dtype),
        lovasz,
        of_probabilities,
        grads=(0,),
        batched=(0, 1),
        edges={
            "all ignored": (P, NONE),
            "right": (np.eye(3)[np.minimum(Y, 2)], Y),
            "certain and wrong": (np.eye(3)[(np.minimum(Y, 2) + 1) % 3], Y),
        },
    ),
}


def test_of_certain_predictions_the_losses_are_one_minus_dice_and_iou() -> None:
    """Two classes; of four pixels of class 1 the prediction has two, and one too many."""
    true = np.zeros((1, 3, 3), np.int32)
    true[0, 0, :3] = true[0, 1, 0] = 1
    guess = np.zeros((1, 3, 3), np.int32)
    guess[0, 0, :2] = guess[0, 2, 2] = 1
    p = np.eye(2, dtype=np.float32)[guess]
    # class 1: overlap 2, sizes 3 and 4, union 5; class 0: overlap 4, sizes 6 and 5, union 7
    assert float(dice_loss(p, true)[0]) == pytest.approx(1 - (4 / 7 + 8 / 11) / 2)
    assert float(lovasz_softmax(p, true)[0]) == pytest.approx(1 - (2 / 5 + 4 / 7) / 2)


@pytest.mark.parametrize("loss", [dice_loss, lovasz_softmax])
def test_ignored_pixels_count_as_if_they_were_cut_off(loss: object) -> None:
    p, y = of_probabilities(np.random.default_rng(0))
    y[:, :, 3:] = IGNORED
    y[1, 1] = 0
    y[1, 1, 3:] = IGNORED
    cut = loss(p[:, :, :3].astype(np.float32), y[:, :, :3])  # type: ignore[operator]
    np.testing.assert_allclose(loss(p.astype(np.float32), y), cut, rtol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("loss", [dice_loss, lovasz_softmax])
def test_ignored_pixels_have_no_gradient(loss: object) -> None:
    slope = jax.grad(lambda p: loss(p, Y).sum())(jnp.asarray(P, jnp.float32))  # type: ignore[operator]
    assert not np.asarray(slope)[Y == IGNORED].any()
    assert np.asarray(slope)[Y != IGNORED].any()
