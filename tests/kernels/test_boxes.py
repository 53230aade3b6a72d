"""Boxes: overlaps by hand, greedy suppression, and boxes that move with their images."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.boxes import area, generalised_iou, iou, place_boxes, suppress
from tests.kernels.case import Case

LIMIT, VISIBLE = 0.45, 0.5


def areas(boxes: np.ndarray) -> np.ndarray:
    """Width times height, 0 for what is inside out."""
    sides = [np.maximum(boxes[..., i + 2] - boxes[..., i], 0) for i in (0, 1)]
    return sides[0] * sides[1]


def overlap(a: np.ndarray, b: np.ndarray, generalised: bool = False) -> np.ndarray:
    """Box after box."""
    out = np.zeros(len(a))
    for i, (p, q) in enumerate(zip(a, b, strict=True)):
        inner = max(0, min(p[2], q[2]) - max(p[0], q[0])) * max(
            0, min(p[3], q[3]) - max(p[1], q[1])
        )
        union = areas(p[None])[0] + areas(q[None])[0] - inner
        outer = max(0, max(p[2], q[2]) - min(p[0], q[0])) * max(
            0, max(p[3], q[3]) - min(p[1], q[1])
        )
        out[i] = inner / union if union > 0 else 0
        if generalised:
            out[i] -= (outer - union) / outer if outer > 0 else 0
    return out


def kept(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Greedily, one image after the other."""
    out = np.zeros_like(scores)
    for image in range(len(scores)):
        chosen: list[int] = []
        for i in np.argsort(-scores[image], kind="stable"):
            if scores[image, i] > 0 and all(
                labels[image, i] != labels[image, j]
                or overlap(boxes[image, i][None], boxes[image, j][None])[0] <= LIMIT
                for j in chosen
            ):
                chosen.append(int(i))
                out[image, i] = scores[image, i]
    return out


def placed(boxes: np.ndarray, placement: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Box after box."""
    out = np.zeros_like(boxes)
    for image, i in np.ndindex(*boxes.shape[:2]):
        scale, shift = placement[image, :2], placement[image, 2:]
        moved = np.concatenate([boxes[image, i, :2] * scale, boxes[image, i, 2:] * scale])
        moved = moved + np.concatenate([shift, shift])
        low, high = window[image, :2], window[image, 2:]
        cut = np.concatenate([np.clip(moved[:2], low, high), np.clip(moved[2:], low, high)])
        visible, total = areas(cut[None])[0], areas(moved[None])[0]
        if visible > 0 and visible >= VISIBLE * total:
            out[image, i] = cut
    return out


def _boxes(generator: np.random.Generator, *shape: int, size: float = 10) -> np.ndarray:
    corner, sides = generator.uniform(0, size, (*shape, 2)), generator.uniform(1, size, (*shape, 2))
    return np.concatenate([corner, corner + sides], -1)


def _pair(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return _boxes(generator, 12), _boxes(generator, 12)


def _scored(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    scores = generator.permuted(np.tile(np.arange(9) / 16, (3, 1)), axis=1)  # exact in bfloat16
    return _boxes(generator, 3, 9), scores, generator.integers(0, 2, (3, 9), np.int32)


def _placement(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    place = np.concatenate([generator.uniform(0.5, 2, (3, 2)), generator.uniform(-5, 9, (3, 2))], 1)
    return _boxes(generator, 3, 6), place, np.tile([2.0, 1.0, 16.0, 12.0], (3, 1))


SAME, NONE = np.array([[1.0, 2, 3, 5]]), np.zeros((1, 4))
EDGES = {
    "the same": (SAME, SAME),
    "none": (SAME, NONE),
    "neither": (NONE, NONE),
    "side by side": (SAME, SAME + np.array([2.0, 0, 2, 0])),
    "far apart": (SAME, SAME + 1e4),
    "inside out": (SAME, SAME[:, ::-1].copy()),
}
CASES = {
    "area": Case(
        area, areas, lambda generator: (_boxes(generator, 12),), grads=(0,), edges={"none": (NONE,)}
    ),
    "iou": Case(iou, overlap, _pair, grads=(0, 1), batched=(0, 1), edges=EDGES),
    "generalised_iou": Case(
        generalised_iou,
        lambda a, b: overlap(a, b, generalised=True),
        _pair,
        grads=(0, 1),
        batched=(0, 1),
        edges={name: pair for name, pair in EDGES.items() if name != "inside out"},
    ),
    "suppress": Case(
        lambda boxes, scores, labels: suppress(boxes, scores, labels, LIMIT),
        kept,
        _scored,
        batched=(0, 1, 2),
        bf16=0,
        edges={
            "equal scores": (
                np.tile(SAME, (1, 3, 1)),
                np.full((1, 3), 0.5),
                np.zeros((1, 3), np.int32),
            )
        },
    ),
    "place_boxes": Case(
        lambda boxes, place, window: place_boxes(boxes, place, window, VISIBLE),
        placed,
        _placement,
        grads=(0,),
        batched=(0, 1, 2),
    ),
}


@pytest.mark.slow
def test_overlaps_by_hand() -> None:
    a = jnp.array([0.0, 0, 2, 2])
    assert float(iou(a, jnp.array([1.0, 0, 3, 2]))) == pytest.approx(1 / 3)
    assert float(generalised_iou(a, jnp.array([1.0, 1, 3, 3]))) == pytest.approx(1 / 7 - 2 / 9)
    pairs = iou(jnp.stack([a, a + 2])[:, None], jnp.stack([a, a + 1, a + 2])[None])
    np.testing.assert_allclose(pairs, [[1, 1 / 7, 0], [0, 1 / 7, 1]], atol=1e-6)


@pytest.mark.slow
def test_a_suppressed_box_suppresses_none() -> None:
    """b overlaps a and c, a and c barely overlap: only b goes."""
    boxes = jnp.array([[[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]])
    found = suppress(boxes, jnp.array([[0.9, 0.8, 0.7]]), jnp.zeros((1, 3), int), 0.4)
    np.testing.assert_allclose(found, [[0.9, 0, 0.7]])
