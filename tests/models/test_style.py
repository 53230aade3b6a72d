"""Style transfer: VGG's layers by hand, Gram matrices, normalisation, an untrained painter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.style import gram
from dlcore.models.style import CONTENT, STYLE, VGG, Grams, InstanceNorm, Painter
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

IMAGE = jax.random.uniform(jax.random.key(0), (2, 16, 24, 3))


def test_vgg_is_convolutions_and_pooling_in_order() -> None:
    """The layers one after the other, with XLA's convolution and NumPy's maximum."""
    net = VGG(2)
    params = init(net, jax.random.key(1), IMAGE)["params"]
    found = apply(net, {"params": params}, IMAGE)
    assert list(found) == list(STYLE)
    assert CONTENT in found
    x = (IMAGE - np.array([0.485, 0.456, 0.406], np.float32)[None, None, None]) / np.array(
        [0.229, 0.224, 0.225], np.float32
    )[None, None, None]
    blocks = (("1_1", "1_2"), ("2_1", "2_2"), ("3_1", "3_2", "3_3"), ("4_1",))
    for number, block in enumerate(blocks):
        if number:
            n, h, w, c = x.shape
            x = np.asarray(x).reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        for name in block:
            p = params[f"conv{name}"]
            x = jax.lax.conv_general_dilated(
                x, p["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jnp.maximum(x + p["bias"][None, None, None], 0)
            if f"conv{name}" in found:
                np.testing.assert_allclose(found[f"conv{name}"], x, atol=1e-5)


def test_gram_matrices_by_hand_and_of_parameters() -> None:
    x = jnp.array([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two positions, two channels
    np.testing.assert_allclose(gram(x)[0], [[5.0, -0.5], [-0.5, 2.5]])
    grams = Grams(2)
    shapes = {name: a.shape for name, a in apply(grams, init(grams, jax.random.key(0))).items()}
    assert shapes == {"conv1_2": (2, 2), "conv2_2": (4, 4), "conv3_3": (8, 8), "conv4_1": (16, 16)}


def test_instance_norm_is_of_each_picture_and_channel() -> None:
    norm = InstanceNorm()
    y = apply(norm, init(norm, jax.random.key(0), IMAGE), 3 * IMAGE + 5)
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), 1, atol=1e-3)


def test_an_untrained_painter_returns_the_photograph_and_pictures_are_independent() -> None:
    net = Painter(12, 1)
    variables = init(net, jax.random.key(0), IMAGE)
    np.testing.assert_allclose(apply(net, variables, IMAGE), jnp.clip(IMAGE, 0.02, 0.98), atol=1e-5)
    variables = jax.tree.map(
        lambda p: p + 0.1 * jax.random.normal(jax.random.key(1), p.shape), variables
    )
    both = apply(net, variables, IMAGE)
    np.testing.assert_allclose(apply(net, variables, IMAGE[1:]), both[1:], atol=1e-5)
    assert float(jnp.abs(both - IMAGE).max()) > 0.05
    assert float(both.min()) >= 0
    assert float(both.max()) <= 1
