"""Embeddings of faces: copies that are moved, and what evaluation averages."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.embedding import PIXEL_RATE, ConvEmbedder, LocalEmbedder, Verifiers, moved
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
    embedder = ConvEmbedder((4,), 5)
    plain, moving = Verifiers(2, 3, embedder), Verifiers(2, 3, embedder, mirror=True, shifts=2)
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


@pytest.mark.slow
def test_cosines_are_not_rounded_to_bfloat16() -> None:
    net = Verifiers(1, 3, ConvEmbedder((4,), 5))
    variables = init(net, jax.random.key(1), IMAGES)
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables)
    embedding, cosine = apply(net, rounded, IMAGES.astype(jnp.bfloat16))
    assert embedding.dtype == jnp.bfloat16
    assert cosine.dtype == jnp.float32
    vectors = np.asarray(rounded["params"]["classes_0"], np.float64)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    expected = np.asarray(embedding[:, 0], np.float64) @ vectors.T
    np.testing.assert_allclose(cosine[:, 0], expected, atol=1e-5)


def test_a_local_embedding_begins_as_the_image_and_depends_on_what_is_near() -> None:
    net = LocalEmbedder((4,), 2)
    variables = init(net, jax.random.key(1), IMAGES, None)
    found = apply(net, variables, IMAGES, None).reshape(3, 8, 6, 2)
    image = IMAGES / jnp.linalg.norm(IMAGES.reshape(3, -1), axis=-1).reshape(3, 1, 1, 1)
    assert np.abs(found[..., :1] - image).max() < 0.1 < np.abs(image).max()

    changed = apply(net, variables, IMAGES.at[:, 2, 3].add(5.0), None).reshape(3, 8, 6, 2)
    ratio = np.asarray(changed / found)
    ratio = ratio / ratio[:, :1, :1, :1]  # the lengths differ too
    near = np.zeros((8, 6), bool)
    near[1:4, 2:5] = True
    np.testing.assert_allclose(ratio[:, ~near], 1, rtol=1e-4)
    assert (np.abs(ratio[:, near, 1] - 1) > 1e-3).all()


def test_a_pixel_counts_by_its_weight() -> None:
    net = LocalEmbedder((4,), 2)
    variables = init(net, jax.random.key(1), IMAGES, None)
    before = apply(net, variables, IMAGES, None).reshape(3, 8, 6, 2)
    pixels = jnp.zeros((8, 6, 1)).at[2, 3].set(np.log(2.0) / PIXEL_RATE)
    variables["params"]["pixels"] = pixels
    after = np.asarray(apply(net, variables, IMAGES, None).reshape(3, 8, 6, 2) / before)
    np.testing.assert_allclose(after[:, 2, 3] / after[:, 0, 0], 2.0, rtol=1e-5)
    np.testing.assert_allclose(after[:, 4, 5] / after[:, 0, 0], 1.0, rtol=1e-5)
