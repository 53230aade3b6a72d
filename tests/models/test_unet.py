"""The U-Net, given a time and a class, every image for itself."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.unet import UNet, waves
from tests.child import built

NET = UNet(width=4, depth=(1, 1), classes=3)
IMAGES = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
ARGS = IMAGES, np.array([0.1, 0.7], np.float32), np.array([0, 3])
apply = jax.jit(NET.apply)


@functools.cache
def begun() -> Any:
    """The variables that training begins with, as NumPy arrays."""
    return jax.tree.map(np.asarray, jax.jit(NET.init)(jax.random.key(1), *ARGS))


def moved() -> Any:
    """Blocks and output begin at zero: moved off it, so that something can be seen."""
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda p: p + 0.1 * generator.standard_normal(p.shape).astype(np.float32), begun()
    )


@pytest.mark.slow
def test_a_velocity_does_not_depend_on_the_others_in_its_batch() -> None:
    variables = moved()
    together = apply(variables, *ARGS)
    assert together.shape == (2, 8, 8, 1)
    for i in range(2):
        np.testing.assert_allclose(
            apply(variables, *(a[i : i + 1] for a in ARGS))[0], together[i], atol=1e-5
        )


@pytest.mark.slow
def test_time_and_class_and_every_pixel_matter() -> None:
    variables, (image, time, label) = moved(), ARGS
    first = apply(variables, image, time, label)
    for other in ((image, time + np.float32(0.1), label), (image, time, np.array([1, 2]))):
        assert float(jnp.abs(apply(variables, *other) - first).max((1, 2, 3)).min()) > 1e-3
    slope = jax.jit(jax.grad(lambda x: NET.apply(variables, x, time, label)[0].sum()))(image)
    assert bool((slope[0] != 0).all())
    assert not bool(slope[1].any())


def test_the_initial_output_is_zero() -> None:
    assert not bool(apply(begun(), *ARGS).any())


@pytest.mark.slow
def test_waves_by_hand() -> None:
    found = waves(jnp.array([0.25]), 4, fastest=100.0)
    np.testing.assert_allclose(
        found, [[np.cos(0.25), np.cos(25), np.sin(0.25), np.sin(25)]], atol=1e-5
    )


@pytest.mark.slow
def test_waves_of_bfloat16_are_those_of_float32() -> None:
    time = jnp.array([0.2, 0.7], jnp.bfloat16)
    found, expected = waves(time, 8), waves(time.astype(jnp.float32), 8)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, expected.astype(jnp.bfloat16))


@pytest.mark.slow
def test_times_that_are_equal_in_bfloat16_give_different_outputs() -> None:
    """In the precision in which the network of the experiment is trained with --precision bf16."""
    (model,) = built("flow_mnist").models
    variables = jax.jit(model.net.init)(jax.random.key(1), *ARGS)
    rounded = jax.tree.map(lambda x: (x + 0.1).astype(jnp.bfloat16), variables["params"])
    time = np.array([0.7, 0.7005], np.float32)
    assert len({*time.astype(jnp.bfloat16).tolist()}) == 1
    same = IMAGES[:1].repeat(2, 0), time, np.array([0, 0])
    first, second = np.asarray(jax.jit(model.on)({"net": rounded}, {}, *same))
    assert first.dtype == jnp.bfloat16
    assert (first != second).any()
