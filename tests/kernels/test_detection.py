"""Heat maps of centres, boxes of cells and focal losses, against one box and one cell at a time."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.detection import (
    boxes_of_distances,
    centre_boxes,
    centre_heat,
    focal_loss,
    heat_loss,
)
from tests.kernels.case import Case

SHAPE, STRIDE, CLASSES, CUTOFF = (5, 6), 4, 2, 0.1
ALPHA, BETA, GAMMA, POSITIVE = 2.0, 4.0, 2.0, 0.25


def gaussian(box: np.ndarray, i: int, j: int) -> float:
    """Of a box, in the cell (row i, column j)."""
    box = box / STRIDE
    size, middle = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    if (size <= 0).any():
        return 0.0
    cell = np.clip(np.floor(middle), 0, [SHAPE[1] - 1, SHAPE[0] - 1])
    spread = np.maximum(0.09 * size, 0.4)
    return float(np.exp(-(((np.array([j, i]) - cell) / spread) ** 2).sum() / 2))


def heats(boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The hottest box of each cell and class."""
    out = np.zeros((len(boxes), *SHAPE, CLASSES))
    for b, i, j, k in np.ndindex(*out.shape):
        found = [gaussian(x, i, j) for x, c in zip(boxes[b], labels[b], strict=True) if c == k]
        out[b, i, j, k] = max(found, default=0)
    return out


def cells(boxes: np.ndarray) -> np.ndarray:
    """The box of each cell, and its weight behind it."""
    out, owner = np.zeros((len(boxes), *SHAPE, 5)), np.full((len(boxes), *SHAPE), -1)
    for b, i, j in np.ndindex(*owner.shape):
        found = [gaussian(box, i, j) for box in boxes[b]]
        sizes = [(box[2:] - box[:2]).prod() for box in boxes[b]]
        best = min(range(len(found)), key=lambda n: (-found[n], sizes[n], n))
        if found[best] > CUTOFF:
            owner[b, i, j] = best
            out[b, i, j] = [*boxes[b, best], found[best]]
    for b, n in np.ndindex(*boxes.shape[:2]):
        own = owner[b] == n
        out[b, own, 4] /= out[b, own, 4].sum() if own.any() else 1
    return out


def from_distances(distances: np.ndarray) -> np.ndarray:
    """Cell after cell."""
    out = np.zeros_like(distances)
    for b, i, j in np.ndindex(*distances.shape[:3]):
        left, top, right, bottom = distances[b, i, j]
        x, y = (j + 0.5) * STRIDE, (i + 0.5) * STRIDE
        out[b, i, j] = x - left, y - top, x + right, y + bottom
    return out


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -x)


def of_heat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The formula of CornerNet."""
    p = sigmoid(x)
    away = -((1 - y) ** BETA) * p**ALPHA * log_sigmoid(-x)
    return np.where(y == 1, -(sigmoid(-x) ** ALPHA) * log_sigmoid(x), away)


def focal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The formula of Lin et al."""
    signed = np.where(y == 1, x, -x)
    weight = np.where(y == 1, POSITIVE, 1 - POSITIVE)
    return -weight * sigmoid(-signed) ** GAMMA * log_sigmoid(signed)


def _boxes(generator: np.random.Generator) -> np.ndarray:
    corner, size = generator.uniform(0, 16, (3, 4, 2)), generator.uniform(2, 14, (3, 4, 2))
    boxes = np.round(np.concatenate([corner, corner + size], -1) * 4) / 4
    boxes[:, 3] = 0
    return np.asarray(jnp.asarray(boxes, jnp.bfloat16), np.float64)


def _labelled(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return _boxes(generator), generator.integers(0, CLASSES, (3, 4), np.int32)


def _hot(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    heat = generator.uniform(0, 1, (3, 7))
    heat[:, 2] = 1
    return generator.standard_normal((3, 7)) * 3, heat


def _binary(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return generator.standard_normal((3, 7)) * 3, generator.integers(0, 2, (3, 7)).astype(float)


FAR = np.array([[-200.0, -50, 0, 50, 200]])
CASES = {
    "centre_heat": Case(
        lambda boxes, labels: centre_heat(boxes, labels, SHAPE, STRIDE, CLASSES),
        heats,
        _labelled,
        batched=(0, 1),
    ),
    "centre_boxes": Case(
        lambda boxes: jnp.concatenate(
            [x.reshape(*x.shape[:3], -1) for x in centre_boxes(boxes, SHAPE, STRIDE, CUTOFF)], -1
        ),
        cells,
        lambda generator: (_boxes(generator),),
    ),
    "boxes_of_distances": Case(
        lambda x: boxes_of_distances(x, STRIDE),
        from_distances,
        lambda generator: (generator.uniform(0, 9, (3, *SHAPE, 4)),),
        grads=(0,),
    ),
    "heat_loss": Case(
        lambda x, y: heat_loss(x, y, ALPHA, BETA),
        of_heat,
        _hot,
        grads=(0,),
        batched=(0, 1),
        edges={"far": (FAR, np.array([[1.0, 0, 1, 0.5, 0]])), "all": (FAR, np.ones((1, 5)))},
    ),
    "focal_loss": Case(
        lambda x, y: focal_loss(x, y, GAMMA, POSITIVE),
        focal,
        _binary,
        grads=(0,),
        batched=(0, 1),
        edges={"far": (FAR, np.array([[1.0, 0, 1, 1, 0]]))},
    ),
}


@pytest.mark.slow
def test_a_middle_is_hot_and_its_cells_share_the_weight() -> None:
    boxes = jnp.array([[[4.0, 4, 20, 16], [0, 0, 0, 0]]])  # its middle is in row 2, column 3
    heat = centre_heat(boxes, jnp.array([[1, 0]]), SHAPE, STRIDE, CLASSES)
    assert float(heat[0, 2, 3, 1]) == 1
    assert float(heat[..., 0].max()) == 0
    target, weight = centre_boxes(boxes, SHAPE, STRIDE)
    assert float(weight.sum()) == pytest.approx(1)
    np.testing.assert_array_equal(target[0, 2, 3], boxes[0, 0])
    assert not np.asarray(target[np.asarray(weight) == 0]).any()


@pytest.mark.slow
def test_a_box_that_reaches_the_corner_has_a_cell() -> None:
    boxes = jnp.array([[[22.0, 18, 26, 22]]])  # its middle is the map's lower right corner
    _, weight = centre_boxes(boxes, SHAPE, STRIDE)
    assert float(weight[0, 4, 5]) > 0
