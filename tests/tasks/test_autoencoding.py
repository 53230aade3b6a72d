"""Autoencoders: baselines that are chosen on validation, and units that are never active."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.analysis import baselines
from dlcore.data.source import Arrays, arrays
from dlcore.metrics.images import psnr
from dlcore.tasks import autoencoding
from dlcore.train.step import State

STATE: Any = State(jnp.zeros((), jnp.int32), {"net": {}}, {}, {})


def source(split: str, images: np.ndarray, **more: np.ndarray) -> Arrays:
    return arrays("images", "1", split, {"image": images, **more})


def noise(seed: int, count: int = 6, side: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 1), np.uint8)


def test_as_many_components_as_images_leave_no_error_and_one_leaves_the_rest() -> None:
    train, test = source("train", noise(0, 5, 4)), source("test", noise(1, 3, 4))
    assert autoencoding.squared_error_of_components(train, train, 5) == pytest.approx(0, abs=1e-6)
    x, y = (each.arrays["image"].reshape(len(each), -1) / 255.0 for each in (train, test))
    mean = x.mean(0)
    direction = np.linalg.svd(x - mean)[2][0]
    rest = (y - mean) - ((y - mean) @ direction)[:, None] * direction
    found = autoencoding.component_evaluator(train, test, 1).score(STATE, {}, "test")
    expected = (rest**2).sum(1).mean()
    assert found == {"squared_error_of_components": pytest.approx(expected, rel=1e-4)}


def test_the_size_of_a_filter_is_chosen_on_validation() -> None:
    """Clean images are those that a median of 3 restores on validation, and of 7 on test."""
    parts = {}
    for seed, (split, size) in enumerate((("train", 5), ("validation", 3), ("test", 7))):
        degraded = (noise(seed) / 255).astype(np.float32)
        clean = np.rint(255 * baselines.median_filter(size)(degraded)).astype(np.uint8)
        parts[split] = source(split, clean, degraded=degraded)
    evaluator = autoencoding.filter_evaluator(
        lambda: parts["train"], parts["validation"], parts["test"]
    )
    found = evaluator.score(STATE, {}, "test")
    assert found.keys() == evaluator.metrics.keys()
    x, y = parts["test"].arrays["degraded"], parts["test"].arrays["image"] / np.float32(255)
    by_size = {n: psnr(np.clip(baselines.median_filter(n)(x), 0, 1), y) for n in (3, 7)}
    assert found["psnr_of_median_filter"] == pytest.approx(by_size[3])
    assert by_size[7] > by_size[3] + 5, "the size that is best on test is another one"
    assert found["psnr_of_nothing"] == pytest.approx(psnr(x, y))


class Sparse:
    """Outputs are inputs; of four units one is never positive, and two are for each image."""

    name = "net"

    def on(self, params: Any, extra: Any, x: Any) -> Any:
        first = x[:, :1]
        codes = [first * 0 - 1, first * 0 + 1, first, -first]
        return x, jnp.concatenate(codes, 1)


def test_dead_units_and_as_many_components_as_are_active() -> None:
    train, test = source("train", noise(0, 8, 2)), source("test", noise(1, 8, 2))
    mean = np.full((1, 4), 0.5, np.float32)
    model: Any = Sparse()
    found = autoencoding.sparse_evaluator(model, train, test, mean).score(STATE, {}, "test")
    assert found["dead"] == 0.25
    two = autoencoding.squared_error_of_components(train, test, 2)
    assert found["squared_error_of_as_many_components"] == pytest.approx(two)
