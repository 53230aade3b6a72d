"""Rotation: each image by its own angle, about its centre."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dlcore.kernels.rotation import random_rotation
from tests.kernels.case import Case

ROWS = np.arange(4, dtype=np.int32)
DEGREES = 30.0


def key() -> jax.Array:
    return jax.random.key(3)


def angles() -> list[float]:
    draws = [float(jax.random.uniform(jax.random.fold_in(key(), row))) for row in range(4)]
    return [np.radians(DEGREES) * (2 * u - 1) for u in draws]


def turned(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """SciPy's interpolation at places that are turned one by one."""
    out = np.empty_like(images)
    _, height, width, channels = images.shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    for n, angle in enumerate(angles()[: len(rows)]):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        places = np.indices((height, width)).reshape(2, -1) - centre[:, None]
        places = turn @ places + centre[:, None]
        for c in range(channels):
            found = scipy.ndimage.map_coordinates(
                images[n, ..., c], places, order=1, mode="nearest"
            )
            out[n, ..., c] = found.reshape(height, width)
    return out


CASES = {
    "random_rotation": Case(
        lambda rows, x: random_rotation(key(), rows, x, DEGREES),
        turned,
        lambda generator: (ROWS, generator.standard_normal((4, 6, 5, 2))),
        grads=(1,),
        batched=(),
        f32=1e-5,
        edges={"constant": (ROWS, np.full((4, 3, 3, 1), 2.0))},
    )
}


@pytest.mark.slow
def test_no_angle_is_the_image_and_rows_decide() -> None:
    images = jnp.asarray(np.random.default_rng(0).random((4, 5, 5, 1), np.float32))
    np.testing.assert_allclose(random_rotation(key(), ROWS, images, 0.0), images, atol=1e-6)
    together = random_rotation(key(), ROWS, images, 90.0)
    alone = random_rotation(key(), ROWS[2:3], images[2:3], 90.0)
    np.testing.assert_allclose(alone[0], together[2], atol=1e-5)
    assert len({round(float(x), 4) for x in together[:, 0, 0, 0]}) == 4
