"""Embeddings of faces: copies that are moved, and what evaluation averages."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.embedding import Verifiers, moved
from tests.models.compiled import apply, init

IMAGES = jax.random.normal(jax.random.key(0), (3, 8, 6, 1))


@pytest.mark.quick
def test_images_move_in_four_directions_and_repeat_their_border() -> None:
    x = jnp.arange(12.0).reshape(1, 3, 4, 1)
    rows = np.arange(12.0).reshape(3, 4)
    found = np.asarray(moved(x, 1))[..., 0]
    assert found.shape == (5, 3, 4)
    np.testing.assert_array_equal(found[0], rows)
    np.testing.assert_array_equal(found[1], rows[[1, 2, 2]])
    np.testing.assert_array_equal(found[2], rows[[0, 0, 1]])
    np.testing.assert_array_equal(found[3], rows[:, [1, 2, 3, 3]])
    np.testing.assert_array_equal(found[4], rows[:, [0, 0, 1, 2]])


@pytest.mark.nightly
def test_evaluation_averages_directions_of_copies_and_training_sees_the_image_alone() -> None:
    plain, moving = Verifiers(2, 3, (4,), 5), Verifiers(2, 3, (4,), 5, mirror=True, shifts=2)
    variables = init(plain, jax.random.key(1), IMAGES)
    assert jax.tree.structure(variables) == jax.tree.structure(
        init(moving, jax.random.key(1), IMAGES)
    )
    each = apply(plain, variables, moved(IMAGES, 2))[0]
    each = each + apply(plain, variables, moved(IMAGES, 2)[:, :, ::-1])[0]
    each = each / jnp.linalg.norm(each, axis=-1, keepdims=True)
    total = each.reshape(5, 3, 2, 5).sum(0)
    expected = total / jnp.linalg.norm(total, axis=-1, keepdims=True)
    found = apply(moving, variables, IMAGES)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(apply(moving, variables, IMAGES[1:])[0], found[1:], atol=1e-5)
    row = jnp.arange(3)
    trained = apply(moving, variables, IMAGES, train=True, row=row)[0]
    np.testing.assert_array_equal(trained, apply(plain, variables, IMAGES, train=True, row=row)[0])
