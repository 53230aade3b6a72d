"""Generator and discriminator: every example for itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.gan import Discriminator, Generator, normalised, pixel_norm
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow


def test_a_drawn_image_does_not_depend_on_the_others_in_its_batch() -> None:
    net = Generator(width=8)
    noise = jax.random.normal(jax.random.key(0), (5, 3))
    variables = init(net, jax.random.key(1), noise)
    together = apply(net, variables, noise)
    alone = jnp.concatenate([apply(net, variables, z[None]) for z in noise])
    assert together.shape == (5, 28, 28, 1)
    assert float(jnp.abs(together).max()) <= 1
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert float(jnp.abs(together[0] - together[1]).max()) > 1e-3


def test_a_score_sees_the_whole_image() -> None:
    net = Discriminator(width=8)
    image = jax.random.normal(jax.random.key(0), (1, 28, 28, 1))
    variables = init(net, jax.random.key(1), image)
    slope = jax.grad(lambda x: apply(net, variables, x)[0])(image)
    assert bool((slope != 0).all())


def test_pixel_norm_makes_the_mean_square_one() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 16)) * 7
    np.testing.assert_allclose(jnp.mean(pixel_norm(x) ** 2, -1), 1, rtol=1e-5)
    assert bool((pixel_norm(jnp.zeros((1, 4))) == 0).all())


def test_a_class_is_generated_and_scored_by_its_label() -> None:
    gen, disc = Generator(width=8, classes=3), Discriminator(width=8, classes=3)
    noise, label = (
        jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, 4)), (3, 4)),
        jnp.arange(3),
    )
    image = apply(gen, init(gen, jax.random.key(1), noise, label), noise, label)
    assert float(jnp.abs(image[0] - image[1]).max()) > 1e-3
    variables = init(disc, jax.random.key(2), image, label)
    same = jnp.broadcast_to(image[:1], image.shape)
    scores = apply(disc, variables, same, label)
    assert len(set(scores.tolist())) == 3
    np.testing.assert_allclose(
        apply(disc, variables, same[:2], jnp.array([2, 2])), scores[2], atol=1e-6
    )


def test_a_normalised_tree_has_kernels_of_norm_one_and_the_same_biases() -> None:
    net = Discriminator(width=8, classes=3)
    params = init(net, jax.random.key(0), jnp.zeros((1, 8, 8, 1)), jnp.zeros(1, jnp.int32))[
        "params"
    ]
    params = jax.tree.map(lambda p: 7 * p + 1, params)
    for name, layer in normalised(params).items():
        kernel = np.asarray(layer["kernel"], np.float64)
        assert np.linalg.svd(
            kernel.reshape(-1, kernel.shape[-1]), compute_uv=False
        ).max() == pytest.approx(1, abs=3e-3)
        np.testing.assert_array_equal(layer["bias"], params[name]["bias"])
