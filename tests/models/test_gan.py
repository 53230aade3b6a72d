"""Generator and discriminator: every example for itself."""

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.models.gan import Discriminator, Generator, pixel_norm


def test_a_drawn_image_does_not_depend_on_the_others_in_its_batch() -> None:
    net = Generator(width=8)
    noise = jax.random.normal(jax.random.key(0), (5, 3))
    variables = net.init(jax.random.key(1), noise)
    together = net.apply(variables, noise)
    alone = jnp.concatenate([net.apply(variables, z[None]) for z in noise])
    assert together.shape == (5, 28, 28, 1)
    assert float(jnp.abs(together).max()) <= 1
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert float(jnp.abs(together[0] - together[1]).max()) > 1e-3


def test_a_score_sees_the_whole_image() -> None:
    net = Discriminator(width=8)
    image = jax.random.normal(jax.random.key(0), (1, 28, 28, 1))
    variables = net.init(jax.random.key(1), image)
    slope = jax.grad(lambda x: net.apply(variables, x)[0])(image)
    assert bool((slope != 0).all())


def test_pixel_norm_makes_the_mean_square_one() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 16)) * 7
    np.testing.assert_allclose(jnp.mean(pixel_norm(x) ** 2, -1), 1, rtol=1e-5)
    assert bool((pixel_norm(jnp.zeros((1, 4))) == 0).all())
