"""Generators of images: noise of training by example, and images of given classes and scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.kernels import random
from dlcore.tasks import latent_noise, velocity_field

STATE: Any = SimpleNamespace(params={}, extra={})


class Linear:
    """A generator whose image is the noise, plus the label where there is one."""

    def on(self, params: Any, extra: Any, z: Any, *label: Any) -> Any:
        return z[:, :, None, None] + (label[0][:, None, None, None] if label else 0)


@pytest.mark.slow
def test_noise_depends_on_the_row_of_an_example_alone() -> None:
    key = jax.random.key(3)
    batch: Any = {"row": np.array([4, 9]), "label": np.array([7, 8])}
    (z,) = latent_noise.inputs(5)(batch, key, True)
    swapped, label = latent_noise.inputs(5, labelled=True)(
        {"row": np.array([9, 4]), "label": np.array([8, 7])}, key, True
    )
    np.testing.assert_array_equal(z, swapped[::-1])
    np.testing.assert_array_equal(z, random.normal(key, batch["row"], (5,)))
    np.testing.assert_array_equal(label, [8, 7])


def test_at_initialisation_one_example_of_zeros_is_enough() -> None:
    batch: Any = {"row": np.arange(2), "label": np.array([7, 8])}
    z, label = latent_noise.inputs(5, labelled=True)(batch, None, True)
    assert z.shape == (1, 5)
    assert not z.any()
    assert label.tolist() == [7]


@pytest.mark.slow
def test_images_are_scaled_and_of_each_class_in_turn() -> None:
    model: Any = Linear()
    plain, none = latent_noise.generate(model, 3)(STATE, jax.random.key(0), 7)
    half, _ = latent_noise.generate(model, 3, scale=0.5)(STATE, jax.random.key(0), 7)
    classed, label = latent_noise.generate(model, 3, classes=3)(STATE, jax.random.key(0), 7)
    assert none is None
    assert plain.shape == (7, 3, 1, 1)
    np.testing.assert_allclose(2 * half - 1, (2 * plain - 1) / 2, atol=1e-6)
    assert label is not None
    assert label.tolist() == [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_allclose((classed - plain)[:, 0, 0, 0], label / 2, atol=1e-6)


class Velocity:
    """A constant velocity of the label, and of 10 for "no class" (label 2)."""

    def on(self, params: Any, extra: Any, x: Any, time: Any, label: Any) -> Any:
        speed = jax.numpy.where(label == 2, 10.0, label)
        return jax.numpy.broadcast_to(speed[:, None, None, None], x.shape) * 0.01


def velocity_of(guidance: float, conditional: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """The displacement of four images, and their labels."""
    model: Any = Velocity()
    generate = velocity_field.generate(model, (1, 1, 1), 2, conditional, guidance, 4, "euler")
    found, label = generate(STATE, jax.random.key(1), 4)
    start = np.clip((np.asarray(jax.random.normal(jax.random.key(1), (4, 1, 1, 1))) + 1) / 2, 0, 1)
    inside = (found > 0) & (found < 1) & (start > 0) & (start < 1)
    return np.where(inside, (found - start) * 2, np.nan).ravel(), label


@pytest.mark.slow
def test_guidance_extrapolates_from_the_velocity_without_a_class() -> None:
    for guidance in (1.0, 2.0):
        moved, label = velocity_of(guidance)
        assert label is not None
        assert label.tolist() == [0, 1, 0, 1]
        expected = 0.01 * (guidance * label + (1 - guidance) * 10)
        known = ~np.isnan(moved)
        assert known.any()
        np.testing.assert_allclose(moved[known], expected[known], atol=1e-5)


def test_without_classes_every_image_has_the_label_of_no_class() -> None:
    moved, label = velocity_of(1.0, conditional=False)
    assert label is None
    np.testing.assert_allclose(moved[~np.isnan(moved)], 0.1, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_guidance_needs_velocities_with_and_without_a_class(dropout: float) -> None:
    velocity_field.check_guidance(1.0, dropout)
    velocity_field.check_guidance(2.0, 0.1)
    with pytest.raises(ValueError, match=f"--class-dropout {dropout:g} only one is learned"):
        velocity_field.check_guidance(2.0, dropout)
