"""The noise of generators: temperature and walks."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from dlcore.tasks import noise
from dlcore.tasks.noise import NoiseOptions, normal

KEY = jax.random.key(5)


def test_by_default_it_is_that_of_the_evaluation_bit_for_bit() -> None:
    plain = np.asarray(jax.random.normal(KEY, (6, 3, 2)))
    np.testing.assert_array_equal(normal(KEY, (6, 3, 2)), plain)
    np.testing.assert_array_equal(noise.draw(NoiseOptions())(KEY, (6, 3, 2)), plain)
    np.testing.assert_allclose(normal(KEY, (6, 3, 2), 0.5), plain / 2)
    assert not normal(KEY, (6, 3, 2), 0.0).any()
    assert normal(KEY, (6, 3, 2), 0.7, 4).dtype == np.float32


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_a_walk_passes_by_random_points_and_keeps_the_deviation(count: int) -> None:
    found = normal(KEY, (count, 2000), walk=4)
    points = np.asarray(jax.random.normal(KEY, (-(-count // 4) + 1, 2000)))
    np.testing.assert_allclose(found[::4], points[: len(found[::4])], atol=1e-6)
    assert found.shape == (count, 2000)
    np.testing.assert_allclose(found.std(1), 1, atol=0.06)
    steps = np.linalg.norm(np.diff(found, axis=0), axis=1)
    if count > 2:  # of equal length: 1 / 4 of a quarter of a circle
        np.testing.assert_allclose(steps, steps[0], rtol=0.1)
    if count == 4:
        half = (points[0] + points[1]) / np.sqrt(2)
        np.testing.assert_allclose(found[2], half, atol=1e-6)
