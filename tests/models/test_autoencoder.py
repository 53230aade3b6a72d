"""Autoencoders: what goes between the halves, and that convolutions see their surroundings
alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.autoencoder import Autoencoder, ConvDecoder, ConvEncoder
from dlcore.models.mlp import MLP
from tests.models.compiled import apply, init

X = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)


@pytest.mark.slow
def test_linear_halves_equal_matrix_products_with_the_code_changed_between() -> None:
    net = Autoencoder(MLP((), classes=4), MLP((), classes=6), jax.nn.relu)
    params = init(net, jax.random.key(0), X)["params"]
    y, code = apply(net, {"params": params}, X)
    down, up = (
        np.asarray(params[half]["Dense_0"]["kernel"], np.float64) for half in ("encoder", "decoder")
    )
    np.testing.assert_allclose(code, np.maximum(X @ down, 0), atol=1e-5)
    np.testing.assert_allclose(y, np.maximum(X @ down, 0) @ up, atol=1e-5)
    np.testing.assert_array_equal(
        apply(net, {"params": params}, code, method=Autoencoder.decode), y
    )


@pytest.mark.slow
def test_a_pixel_reaches_its_surroundings_alone_and_moves_with_the_image() -> None:
    net = Autoencoder(ConvEncoder((4, 6)), ConvDecoder((6, 4)))
    image = jax.random.normal(jax.random.key(1), (1, 64, 64, 1))
    params = init(net, jax.random.key(0), image)
    run = jax.jit(lambda x: net.apply(params, x)[0])
    assert run(image).shape == image.shape
    changed = np.abs(np.asarray(run(image.at[0, 32, 32, 0].add(1.0)) - run(image)))[0, ..., 0] > 0
    assert changed.any()
    # A pixel's 2x2 and 4x4 blocks, and one block to each side in each of the four convolutions, one
    # pixel in the last.
    assert not changed[32 + 4 + 2 + 4 + 4 + 2 + 1 :].any()
    moved = run(jnp.roll(image, 4, 1))
    np.testing.assert_allclose(moved[:, 24:40], jnp.roll(run(image), 4, 1)[:, 24:40], atol=1e-5)
