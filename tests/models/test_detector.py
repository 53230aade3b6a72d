"""Detectors: shapes, what training starts with, and that an example's output is its own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.models.detector import CentreDetector, Pyramid, check
from dlcore.models.set_detector import SetDetector
from tests.models.compiled import apply, init

IMAGES = np.random.default_rng(0).standard_normal((3, 32, 48, 3)).astype(np.float32)
NETS = {
    "centres": CentreDetector((8, 16), (1, 1), 2, groups=4),
    "sets": SetDetector((8, 16), (1, 0), 2, groups=4, grid=2, layers=2, heads=2, width=8),
}


def initial(net: Any) -> np.ndarray:
    """The outputs with which training starts."""
    return np.asarray(apply(net, init(net, jax.random.key(0), IMAGES), IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["centres", pytest.param("sets", marks=pytest.mark.nightly)])
def test_batched_is_one_by_one(name: str) -> None:
    net = NETS[name]
    params = jax.jit(net.init)(jax.random.key(0), IMAGES)
    run = jax.jit(net.apply)
    axis = 1 if name == "sets" else 0
    together = np.asarray(run(params, IMAGES))
    alone = np.asarray(run(params, IMAGES[1:2]))
    np.testing.assert_allclose(together.take(1, axis), alone.take(0, axis), rtol=2e-4, atol=2e-4)


@pytest.mark.slow
def test_centres_start_rare_and_boxes_with_two_cells_to_each_side() -> None:
    net = NETS["centres"]
    y = initial(net)
    assert y.shape == (3, 8, 12, 2 + 4)
    np.testing.assert_allclose(jax.nn.sigmoid(y[..., :2]), 0.01, rtol=0.3)
    np.testing.assert_allclose(y[..., 2:], 8, rtol=0.3)


@pytest.mark.slow
def test_sets_start_on_a_grid_of_boxes_in_pixels() -> None:
    net = NETS["sets"]
    y = initial(net)
    assert y.shape == (2, 3, 4, 2 + 4)
    middles = (y[..., 2:4] + y[..., 4:]) / 2
    expected = [[12, 8], [36, 8], [12, 24], [36, 24]]
    np.testing.assert_allclose(middles, np.broadcast_to(expected, middles.shape), atol=2)
    np.testing.assert_allclose((y[..., 4:] - y[..., 2:4])[..., 0], 0.2 * 48, rtol=0.2)


@pytest.mark.nightly
def test_a_layer_of_sets_trains_its_own_boxes_and_the_first_the_reference_points() -> None:
    net = NETS["sets"]
    params = jax.jit(net.init)(jax.random.key(0), IMAGES)

    def boxes(params: Any, layer: int) -> jax.Array:
        return net.apply(params, jnp.asarray(IMAGES))[layer, ..., 2:].sum()

    for layer in range(2):
        found = jax.jit(jax.grad(boxes), static_argnums=1)(params, layer)["params"]
        trained = {name for name, x in found.items() if any(map(np.any, jax.tree.leaves(x)))}
        assert f"box_{layer}" in trained
        assert f"box_{1 - layer}" not in trained
        assert "points" in trained  # by their place in the attention of the first layer


@pytest.mark.quick
def test_what_does_not_divide_is_refused_by_name() -> None:
    check((192, 144), (8, 8, 8), (1, 1, 1), 4)
    with pytest.raises(UsageError, match=r"--height 136 does not divide by 16, .*: give 144"):
        check((192, 136), (8, 8, 8), (1, 1, 1), 4)
    with pytest.raises(UsageError, match="--widths gives 2 stages, --blocks 1"):
        check((64, 64), (8, 8), (1,), 4)


def test_stages_without_blocks_are_refused() -> None:
    with pytest.raises(UsageError, match="--widths gives 2 stages, --blocks 1"):
        Pyramid((8, 8), (1,)).init(jax.random.key(0), IMAGES)
