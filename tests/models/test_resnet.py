"""Residual networks: equal to loops in float64, the identity where a branch is dropped, any size of
image.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.models.resnet import ResNet
from tests.models.compiled import apply, init
from tests.models.test_cnn import convolved, in_float64

X = np.random.default_rng(0).standard_normal((2, 6, 8, 1)).astype(np.float32)


def shaken(tree: Any) -> Any:
    """Parameters none of which is zero: biases and the last layer begin there."""
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda x: jnp.asarray(x + 0.1 * generator.standard_normal(x.shape), jnp.float32), tree
    )


def halved(x: np.ndarray) -> np.ndarray:
    """The largest of each 2 x 2 places."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))


def textbook(tree: Any, images: np.ndarray, pool: str) -> np.ndarray:
    """Logits of a network with patch 2 and one stage of one block, in float64."""
    p = in_float64(tree)

    def layer(x: np.ndarray, part: Any) -> np.ndarray:
        return convolved(x, part["conv"]["kernel"]) + part["conv"]["bias"]

    x = images.astype(np.float64)
    x = np.concatenate([x[:, i::2, j::2] for i in range(2) for j in range(2)], -1)
    x = np.maximum(layer(x, p["stem"]), 0)
    x = layer(halved(x), p["stage_0"]) if pool == "before" else halved(layer(x, p["stage_0"]))
    x = np.maximum(x, 0)
    y = np.maximum(layer(x, p["stage_0_block_0"]["conv_0"]), 0)
    x = x + np.maximum(layer(y, p["stage_0_block_0"]["conv_1"]), 0)
    return x.mean((1, 2)) @ p["head"]["kernel"] + p["head"]["bias"]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["before", "after"])
def test_equals_loops_in_float64_on_an_image_that_is_padded(pool: Any) -> None:
    net = ResNet((4,), (1,), classes=3, stem=3, patch=2, pool=pool, norm="none")
    params = shaken(init(net, jax.random.key(0), X)["params"])
    # 6 x 8 -> 8 x 8: what 2 x 2 patches, halved, divide
    padded = np.pad(X, ((0, 0), (1, 1), (0, 0), (0, 0)))
    np.testing.assert_allclose(
        jax.jit(net.apply)({"params": params}, X),
        textbook(params, padded, pool),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.slow
def test_training_drops_the_branch_of_some_rows_and_doubles_it_for_the_others() -> None:
    """One block, dropped with probability one half: an image's output is that without the block, or
    with twice the branch.
    """
    net = ResNet((4,), (1,), classes=3, stem=3, norm="none", drop=0.5)
    params = shaken(init(net, jax.random.key(0), X)["params"])
    without = ResNet((4,), (0,), classes=3, stem=3, norm="none")
    images = np.repeat(X[:1], 20, 0)
    run = jax.jit(
        lambda p, x, row: apply(
            net, {"params": p}, x, train=True, row=row, rngs={"dropout": jax.random.key(3)}
        )
    )
    found = np.asarray(run(params, images, jnp.arange(20)))
    skipped = np.asarray(apply(without, {"params": params}, X[:1]))[0]
    whole = np.asarray(apply(net, {"params": params}, X[:1]))[0]
    kept = np.abs(found - skipped).max(1) > 1e-6
    assert 4 < kept.sum() < 16
    np.testing.assert_allclose(
        found[kept], np.broadcast_to(skipped + 2 * (whole - skipped), found[kept].shape), rtol=1e-4
    )
    backwards = np.asarray(run(params, images, jnp.arange(20)[::-1]))
    np.testing.assert_allclose(backwards, found[::-1], rtol=1e-5)


def test_each_stage_needs_width_and_blocks() -> None:
    with pytest.raises(UsageError, match="--widths gives 2 stages, --blocks 1"):
        jax.eval_shape(ResNet((4, 8), (1,), classes=3).init, jax.random.key(0), X)
