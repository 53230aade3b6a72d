"""The U-Net: told a time and a class, every image for itself."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.unet import UNet, waves


def made() -> tuple[Any, Any, tuple[jax.Array, ...]]:
    net = UNet(width=4, depth=(1, 1), classes=3)
    args = (
        jax.random.normal(jax.random.key(0), (2, 8, 8, 1)),
        jnp.array([0.1, 0.7]),
        jnp.array([0, 3]),
    )
    variables = net.init(jax.random.key(1), *args)
    # Blocks and output begin at zero: moved off it, so that something can be seen.
    moved = jax.tree.map(
        lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), variables
    )
    return net, moved, args


def test_a_velocity_does_not_depend_on_the_others_in_its_batch() -> None:
    net, variables, args = made()
    together = net.apply(variables, *args)
    assert together.shape == (2, 8, 8, 1)
    for i in range(2):
        np.testing.assert_allclose(
            net.apply(variables, *(a[i : i + 1] for a in args))[0], together[i], atol=1e-5
        )


@pytest.mark.slow
def test_time_and_class_and_every_pixel_matter() -> None:
    net, variables, (image, time, label) = made()
    first = net.apply(variables, image, time, label)
    for other in ((image, time + 0.1, label), (image, time, jnp.array([1, 2]))):
        assert float(jnp.abs(net.apply(variables, *other) - first).max((1, 2, 3)).min()) > 1e-3
    slope = jax.grad(lambda x: net.apply(variables, x, time, label)[0].sum())(image)
    assert bool((slope[0] != 0).all())
    assert not bool(slope[1].any())


def test_a_fresh_network_says_nothing() -> None:
    net, _, args = made()
    assert not bool(net.apply(net.init(jax.random.key(1), *args), *args).any())


def test_waves_by_hand() -> None:
    found = waves(jnp.array([0.25]), 4, fastest=100.0)
    np.testing.assert_allclose(
        found, [[np.cos(0.25), np.cos(25), np.sin(0.25), np.sin(25)]], atol=1e-5
    )
