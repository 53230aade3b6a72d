"""The driving policy and the networks of image translation: what each output depends on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.cyclegan import PatchCritic, Translator
from dlcore.models.policy import ConvPolicy

pytestmark = pytest.mark.slow


def test_an_action_depends_on_each_frame_and_number_of_its_own_row() -> None:
    net = ConvPolicy((3, 4), 5, patch=2)
    frames = jax.random.normal(jax.random.key(0), (2, 3, 6, 7, 1))
    numbers = jax.random.normal(jax.random.key(1), (2, 2))
    variables = jax.jit(net.init)(jax.random.key(2), frames, numbers)
    # the last layer begins at zero
    moved = jax.tree.map(lambda x: x + 0.1, variables)

    @jax.jit
    def slopes(row: Any) -> Any:
        return jax.grad(lambda *x: net.apply(moved, *x)[row], (0, 1))(frames, numbers)

    for row in range(2):
        of_frames, of_numbers = map(np.asarray, slopes(row))
        assert np.abs(of_frames[row]).max((1, 2, 3)).all(), "each frame matters"
        assert of_numbers[row].all()
        assert not of_frames[1 - row].any()
        assert not of_numbers[1 - row].any()
    np.testing.assert_array_equal(net.apply(variables, frames, numbers), 0)


def test_a_translated_pixel_depends_on_its_own_place_most() -> None:
    net, image = Translator(4, 1), jax.random.uniform(jax.random.key(0), (1, 8, 8, 1))
    params = jax.jit(net.init)(jax.random.key(1), image)
    slope = jax.jit(jax.grad(lambda x: net.apply(params, x)[0, 3, 5, 0]))(image)
    assert float(slope[0, 3, 5, 0]) != 0
    made = net.apply(params, image)
    assert made.shape == image.shape
    assert float(jnp.abs(made).max()) <= 1


def test_a_score_is_of_the_patch_around_its_place() -> None:
    """Without normalisation over the picture, a score at (1, 2) reads the pixels around (6, 10)."""
    net, image = PatchCritic(4), jax.random.normal(jax.random.key(0), (1, 24, 24, 1))
    params = jax.jit(net.init)(jax.random.key(1), image)
    slope = np.abs(np.asarray(jax.jit(jax.grad(lambda x: net.apply(params, x)[0, 1, 2]))(image)))
    near = slope[0, 0:14, 2:18].mean()
    assert near > 5 * slope[0, 18:].mean(), "far pixels count by the mean and deviation alone"
    assert slope[0, 4:8, 8:12].all()
