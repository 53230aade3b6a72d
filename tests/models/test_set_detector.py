"""Training in bfloat16 leaves positions and boxes of a set detector as exact as in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.set_detector import positions
from tests.models.compiled import apply, init
from tests.models.test_detector import IMAGES, NETS

pytestmark = pytest.mark.slow


def test_positions_of_bfloat16_are_those_of_float32() -> None:
    points = jnp.array([[0.3, 0.9]], jnp.bfloat16)
    found, expected = positions(points, 16), positions(points.astype(jnp.float32), 16)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, expected.astype(jnp.bfloat16))


def test_boxes_are_not_rounded_to_bfloat16() -> None:
    params = init(NETS["sets"], jax.random.key(0), IMAGES)
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    y = apply(NETS["sets"], rounded, IMAGES.astype(jnp.bfloat16))
    assert y.dtype == jnp.float32
    boxes = np.asarray(y[..., 2:])
    assert (boxes != boxes.astype(jnp.bfloat16)).mean() > 0.9
