"""Sets: the cheapest assignment, whatever the order of queries; masks; what is not there."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dlcore.errors import UsageError
from dlcore.tasks import set_detection
from dlcore.tasks.detection_augmentation import Augmentation
from dlcore.tasks.set_detection import loss
from tests.child import built

pytestmark = pytest.mark.slow

CLASSES, QUERIES, LAYERS, CANVAS = 3, 5, 2, (40, 30)


def batch(generator: np.random.Generator, images: int = 4) -> dict[str, np.ndarray]:
    """Two true boxes in each image, and one that is not there; the last image is empty."""
    boxes = random_boxes(generator, images, 3)
    boxes[:, 2], boxes[-1] = 0, 0
    return {
        "image": np.zeros((images, CANVAS[1], CANVAS[0], 3), np.uint8),
        "boxes": boxes,
        "label": generator.integers(0, CLASSES, (images, 3)).astype(np.int32),
        "extent": np.tile(np.array(CANVAS, np.float32), (images, 1)),
        "mask": np.ones(images, np.float32),
    }


def random_boxes(generator: np.random.Generator, *shape: int) -> np.ndarray:
    corner, size = generator.uniform(0, 20, (*shape, 2)), generator.uniform(2, 10, (*shape, 2))
    return np.concatenate([corner, corner + size], -1).astype(np.float32)


def outputs(generator: np.random.Generator, images: int = 4) -> np.ndarray:
    """Random logits and boxes of each layer."""
    shape = (LAYERS, images, QUERIES)
    logits = generator.standard_normal((*shape, CLASSES)).astype(np.float32)
    return np.concatenate([logits, random_boxes(generator, *shape)], -1)


@jax.jit
def outcome(y: Any, rows: Any) -> Any:
    return loss(lambda *_: (y, {}), CLASSES)({}, {}, rows, jax.random.key(0), True)


def of(y: Any, rows: dict[str, np.ndarray]) -> Any:
    """The loss of a network that gives `y`."""
    return outcome(jnp.asarray(y), rows)


def value(mean: Any) -> float:
    return float(mean.total / mean.weight)


def by_hand(y: np.ndarray, rows: dict[str, np.ndarray]) -> float:
    """Image after image, with SciPy's assignment."""
    total, side = 0.0, np.array([*CANVAS, *CANVAS])
    for layer, image in np.ndindex(*y.shape[:2]):
        p = 1 / (1 + np.exp(-y[layer, image, :, :CLASSES].astype(float)))
        found, true = y[layer, image, :, CLASSES:], rows["boxes"][image]
        there = np.flatnonzero(true[:, 2] > true[:, 0])
        yes, no = -0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p)
        label = rows["label"][image, there]
        distance = (np.abs(found[:, None] - true[there][None]) / side).sum(-1)
        overlap = np.array([[giou(a, b) for b in true[there]] for a in found])
        overlap = overlap.reshape(len(found), len(there))
        cost = 2 * (yes - no)[:, label] + 5 * distance - 2 * overlap
        query, index = linear_sum_assignment(cost)
        focal = no.copy()
        focal[query, label[index]] = yes[query, label[index]]
        total += 2 * focal.sum() + 5 * distance[query, index].sum()
        total += 2 * (1 - overlap[query, index]).sum()
    count = (rows["boxes"][..., 2] > rows["boxes"][..., 0]).sum(1)
    return total / np.maximum(count, 1).sum()


def giou(a: np.ndarray, b: np.ndarray) -> float:
    inner = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner
    outer = (np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])).prod()
    return float(inner / union - (outer - union) / outer)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_the_cheapest_assignment(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows, y = batch(generator), outputs(generator)
    assert value(of(y, rows).loss) == pytest.approx(by_hand(y, rows), rel=1e-5)
    # whatever the order of queries and of objects
    shuffled = {**rows, **{n: rows[n][:, ::-1] for n in ("boxes", "label")}}
    other = y[:, :, generator.permutation(QUERIES)]
    assert value(of(other, shuffled).loss) == pytest.approx(value(of(y, rows).loss), rel=1e-5)


def test_exact_boxes_cost_nothing() -> None:
    generator = np.random.default_rng(0)
    rows = batch(generator)
    y = outputs(generator)
    y[..., CLASSES:] = 1
    y[..., :CLASSES] = -12
    for image, box in np.ndindex(3, 2):
        query = (image + 3 * box) % QUERIES
        y[:, image, query, CLASSES:] = rows["boxes"][image, box]
        y[:, image, query, rows["label"][image, box]] = 12
    out = of(y, rows)
    assert value(out.loss) < 1e-4
    assert float(out.loss.weight) == 3 * 2 + 1
    detect = set_detection.detections(lambda *_: (jnp.asarray(y), {}), CLASSES)
    found = detect({}, {}, rows)
    assert (np.asarray(found.confidence[:3, :2]) > 0.99).all()
    assert (np.asarray(found.confidence[:3, 2:]) < 0.01).all()
    assert sorted(found.label[0, :2].tolist()) == sorted(rows["label"][0, :2].tolist())


def test_the_loss_of_masked_examples_is_that_of_the_others() -> None:
    generator = np.random.default_rng(1)
    rows, y = batch(generator), outputs(generator)
    rows["mask"] = np.array([1, 0, 1, 0], np.float32)
    sliced = {name: array[[0, 2]] for name, array in rows.items()}
    assert value(of(y, rows).loss) == pytest.approx(value(of(y[:, [0, 2]], sliced).loss), rel=1e-5)


def test_gradients_are_finite_and_a_diverged_network_ends() -> None:
    generator = np.random.default_rng(2)
    rows, y = batch(generator), outputs(generator)
    slope = jax.jit(jax.grad(lambda y: of(y, rows).loss.total))(jnp.asarray(y))
    assert np.isfinite(slope).all()
    assert np.asarray(slope[:, :3, :, CLASSES:]).any()
    y[0, 0, 0] = np.nan
    assert np.isnan(value(of(y, rows).loss))


def test_mosaics_have_their_images_and_as_many_queries_as_boxes() -> None:
    mosaics = Augmentation(mosaic=1.0)
    with pytest.raises(UsageError, match="--grid 2 gives 4 queries, fewer than 8 boxes"):
        built("detr_scenes", augmentation=mosaics)
    experiment = built("detr_scenes", augmentation=mosaics, grid=3)
    rows = {**experiment.train.gather(np.arange(4)), "row": np.arange(4)}
    mosaic = jax.eval_shape(mosaics, rows, jax.random.key(0))
    assert mosaic["boxes"].shape == (4, 8, 4)
