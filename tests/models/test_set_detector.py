"""Training in bfloat16 leaves positions and boxes of detectors as exact as in float32."""

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


@pytest.mark.parametrize("name", ["sets", "centres"])
def test_boxes_are_not_rounded_to_bfloat16(name: str) -> None:
    params = init(NETS[name], jax.random.key(0), IMAGES)
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    y = apply(NETS[name], rounded, IMAGES.astype(jnp.bfloat16))
    assert y.dtype == jnp.float32
    boxes = np.asarray(y[..., 2:])  # of two classes
    network = np.log(boxes / 2) if name == "centres" else boxes  # what the last layer computes
    assert (abs(network - network.astype(jnp.bfloat16)) > 1e-5 * abs(network)).mean() > 0.9
