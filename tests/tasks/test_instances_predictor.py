"""Predicted instances: their measures, and a warning about an image of another kind."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.tasks.instances_predictor import InstancePredictor, measured
from dlcore.train.step import State

pytestmark = pytest.mark.quick


def test_measures_of_each_instance() -> None:
    numbers = np.zeros((6, 8), np.int32)
    numbers[1:3, 2:6] = 1
    p = np.full((6, 8, 3), (0.25, 0.5, 0.25), np.float32)
    found = measured(numbers, p)
    assert (found["count"], found["width"], found["height"]) == (1, 8, 6)
    assert found["instances"] == [{"pixels": 8, "x": 3.5, "y": 1.5, "confidence": 0.75}]
    assert measured(np.zeros((6, 8), np.int32), p)["instances"] == []


def test_instances_that_are_not_listed_are_counted() -> None:
    p = np.full((1, 1003, 3), (0.25, 0.5, 0.25), np.float32)
    found = measured(np.arange(1003, dtype=np.int32)[None], p)
    assert (found["count"], len(found["instances"])) == (1002, 1000)  # type: ignore[arg-type]
    assert found["instances_left_out"] == 2
    assert "instances_left_out" not in measured(np.arange(1001, dtype=np.int32)[None], p[:, :1001])


def test_an_image_of_another_kind_is_answered_with_a_warning() -> None:
    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        image = batch["image"].astype(jnp.float32)
        return jnp.concatenate([100 - image, image - 100, 0 * image - 50], -1), extra

    made = InstancePredictor(model, brightest=50.0)
    state = State(jnp.zeros((), jnp.int32), {}, {}, {})
    image = np.zeros((30, 41), np.uint8)
    image[5:15, 6:20] = 200
    items = [made.item(image), made.item(255 - image)]
    (dark, sample), (bright, _) = made.batch(state, items)
    assert dark["count"] == 1
    assert dark["instances"][0]["pixels"] == 140
    assert (dark["width"], dark["height"]) == (41, 30)
    np.testing.assert_array_equal(sample.instances > 0, image > 100)
    assert "warning" not in dark
    assert "another kind" in bright["warning"]
    assert "1 instances" in made.line(dark)
    assert "warning" in made.line(bright)
    with pytest.raises(UsageError, match="an image here is uint8"):
        made.item(image.astype(float))
