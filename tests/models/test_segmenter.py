"""A U-Net for pixels: odd sizes, which pixels an output depends on, few parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.models.segmenter import Segmenter
from dlcore.models.temperature import Temperature
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", [(16, 24), (23, 30), (9, 13)])
@pytest.mark.parametrize("patch", [1, 2])
def test_every_size_has_an_output_for_each_pixel(size: tuple[int, int], patch: int) -> None:
    net = Segmenter((4, 8, 8), (0, 1, 1), 5, patch, norm="none")
    x = jnp.ones((2, *size, 3))
    shape = jax.eval_shape(lambda x: net.apply(net.init(jax.random.key(0), x), x), x)
    assert shape.shape == (2, *size, 5)


def test_outputs_have_the_place_of_their_pixels() -> None:
    """Without the mean over the image, a pixel reaches its neighbours alone."""
    net = Segmenter((4,), (0,), 2, 2, norm="none")
    x = np.zeros((1, 15, 21, 1), np.float32)
    x[0, 0, 0], x[0, 14, 20] = 1, -1  # the mean stays
    variables = init(net, jax.random.key(0), x)
    params = dict(variables["params"])
    params["context"] = jax.tree.map(jnp.zeros_like, params["context"])
    moved = x.copy()
    moved[0, 8, 12], moved[0, 8, 13] = 1, -1
    before, after = (np.asarray(apply(net, {"params": params}, each)) for each in (x, moved))
    changed = np.abs(after - before).max((0, 3)) > 1e-4
    rows, columns = np.nonzero(changed)
    assert 6 <= rows.min() <= 8 <= rows.max() <= 11
    assert 10 <= columns.min() <= 12 <= columns.max() <= 15


def test_outputs_begin_without_a_pattern() -> None:
    """All pixels of a block have the same outputs at first."""
    net = Segmenter((4,), (0,), 3, 2)
    x = np.random.default_rng(0).standard_normal((1, 8, 12, 3)).astype(np.float32)
    y = np.asarray(apply(net, init(net, jax.random.key(0), x), x))
    for i, j in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_array_equal(y[:, i::2, j::2], y[:, ::2, ::2])
    assert np.ptp(y[0, ::2, ::2], (0, 1)).min() > 0


def test_an_example_does_not_depend_on_the_others() -> None:
    net = Segmenter((4, 8), (1, 1), 3)
    x = np.random.default_rng(0).standard_normal((3, 11, 14, 3)).astype(np.float32)
    variables = init(net, jax.random.key(0), x)
    together = apply(net, variables, x)
    alone = apply(net, variables, x[1:2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_brightness_that_is_added_changes_nothing() -> None:
    net = Segmenter((4, 8), (1, 1), 3)
    x = np.random.default_rng(0).standard_normal((2, 11, 14, 3)).astype(np.float32)
    variables = init(net, jax.random.key(0), x)
    np.testing.assert_allclose(
        apply(net, variables, x), apply(net, variables, x + 3), rtol=1e-3, atol=1e-4
    )


def test_the_network_for_camvid_has_less_than_two_million_parameters() -> None:
    net = Segmenter((16, 48, 80, 128), (0, 1, 2, 2), 11)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((1, 180, 240, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) < 2_000_000


def test_widths_and_blocks_fit() -> None:
    with pytest.raises(UsageError, match="--widths gives 2 stages, --blocks 1"):
        init(Segmenter((4, 8), (1,), 3), jax.random.key(0), jnp.ones((1, 8, 8, 3)))


def test_a_temperature_divides_logits() -> None:
    net = Temperature()
    x = jnp.array([[1.0, -2.0]])
    variables = init(net, jax.random.key(0), x)
    np.testing.assert_array_equal(apply(net, variables, x), x)
    hotter = jax.tree.map(lambda t: t + jnp.log(2.0), variables)
    np.testing.assert_allclose(apply(net, hotter, x), x / 2, rtol=1e-6)
