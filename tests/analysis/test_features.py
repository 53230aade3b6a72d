"""Learned features as pictures: what is shown is what the network holds, computes and listens
to.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.analysis.features import activations, filters, gradient, saliency, samples
from dlcore.data.source import arrays
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.samples.writer import to_uint8
from dlcore.train.step import State

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (3, 4, 4, 2), dtype=np.uint8)
BATCH = {
    "image": IMAGES,
    "mask": np.array([1, 1, 0], np.float32),
    "row": np.arange(3, dtype=np.int32),
}
LINEAR = GENERATOR.standard_normal((4 * 4 * 2, 5)).astype(np.float32)


def state(params: Any) -> State:
    """A state that holds these parameters of "net"."""
    return State(jnp.zeros((), jnp.int32), {"net": params}, {}, {})


def linear(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """W x, of pixels in [0, 1] as a page's logits see them."""
    return (
        batch["image"].astype(jnp.float32).reshape(len(batch["image"]), -1) / 255 @ params["net"],
        extra,
    )


def test_saliency_of_a_linear_model_is_the_size_of_its_weights() -> None:
    label = np.array([4, 0, 2])
    slope = gradient(linear, state(LINEAR), BATCH, label)
    np.testing.assert_allclose(slope, LINEAR.T[label].reshape(3, 4, 4, 2) / 255, rtol=1e-5)
    predicted = np.argmax(IMAGES.reshape(3, -1) @ LINEAR, -1)
    images, maps = saliency(linear, state(LINEAR), BATCH)
    size = np.abs(LINEAR.T[predicted].reshape(3, 4, 4, 2)).max(-1)
    np.testing.assert_allclose(maps.images, (size / size.max((1, 2), keepdims=True))[:2], rtol=1e-5)
    np.testing.assert_array_equal(images.images, IMAGES[:2])  # the third is padding


def test_a_network_that_ignores_its_input_has_black_saliency() -> None:
    maps = saliency(linear, state(np.zeros_like(LINEAR)), BATCH)[1]
    assert (maps.images == 0).all()


def test_filters_are_scaled_to_0_and_1_each_by_itself() -> None:
    kernel = GENERATOR.standard_normal((3, 2, 3, 5)) * np.array([1, 10, 100, 0.1, 0])
    found = filters(kernel).images
    assert found.shape == (5, 3, 2, 3)
    for i in range(4):
        own = kernel[..., i]
        np.testing.assert_allclose(found[i], (own - own.min()) / (own.max() - own.min()), atol=1e-6)
    assert (found[4] == 0).all()  # a dead filter is black, not a division by zero
    assert to_uint8(filters(GENERATOR.standard_normal((3, 3, 7, 2))).images)[1] == 0
    assert filters(kernel, most=2).images.shape[0] == 2
    with pytest.raises(ValueError, match=r"not \[4\]"):
        filters(np.zeros(4))


def test_filters_over_patches_are_shown_over_pixels() -> None:
    """The picture that a filter answers most to is the filter itself: block by block it must come
    back.
    """
    kernel = GENERATOR.standard_normal((6, 4, 3, 1)).astype(np.float32)
    # [1, 3, 2, 12]
    blocks = np.asarray(space_to_depth(jnp.moveaxis(jnp.asarray(kernel), -1, 0), 2))
    np.testing.assert_array_equal(
        filters(np.moveaxis(blocks, 0, -1), patch=2).images, filters(kernel).images
    )
    matrix = kernel[:2, :2].reshape(12, 1)
    np.testing.assert_array_equal(filters(matrix, patch=2).images, filters(kernel[:2, :2]).images)


class Deep(nn.Module):
    """Modules whose names are not in the order of their depth, one inside another."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = CNN((3,), hidden=2, classes=2, name="z")(x)[:, None, None]
        return nn.Conv(2, (1, 1), name="b")(nn.Conv(2, (1, 1), name="c")(x))[:, 0, 0]


def test_layers_are_shown_by_depth_and_without_what_is_inside_them() -> None:
    params = jax.jit(Deep().init)(jax.random.key(0), IMAGES / np.float32(255))["params"]
    shown = activations(
        lambda p, e, b, k, t: (Deep().apply({"params": p["net"]}, b["image"] / 255), e),
        state(params),
        BATCH,
    )
    assert [each.title.split()[1] for each in shown] == ["c:", "b:"]


def test_activations_are_those_after_each_layer() -> None:
    net = CNN((3, 4), hidden=5, classes=3)
    params = jax.jit(net.init)(jax.random.key(0), IMAGES / np.float32(255))["params"]

    def logits(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return apply(
            net, "net", params, extra, batch["image"].astype(jnp.float32) / 255, train=train
        )

    first, second = activations(logits, state(params), BATCH)
    assert first.title == "After Conv_0: 4 x 4, 3 channels"
    assert second.title == "After Conv_1: 2 x 2, 4 channels"
    conv = nn.Conv(3, (3, 3)).apply({"params": params["Conv_0"]}, IMAGES[:1] / np.float32(255))
    maps = np.maximum(np.asarray(conv)[0], 0)
    for caption, picture in zip(first.captions, first.images, strict=True):
        np.testing.assert_allclose(
            picture, maps[..., int(caption.split()[1])] / maps.max(), rtol=1e-4, atol=1e-6
        )
    means = [float(picture.mean()) for picture in first.images]
    assert means == sorted(means, reverse=True)
    assert len(activations(logits, state(params), BATCH, layers=1)) == 1
    assert activations(linear, state(LINEAR), BATCH) == []
    source = arrays("x", "1", "test", {"image": IMAGES})
    shown = samples(logits, source, "net/Conv_0/kernel", count=4)(state(params), jax.random.key(0))
    assert [len(each.images) for each in shown] == [3, 3, 4, 3, 3]
