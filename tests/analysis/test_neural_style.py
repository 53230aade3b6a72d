"""Gatys' optimisation on losses whose minimum is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.analysis.neural_style import optimise

pytestmark = pytest.mark.slow

PHOTOGRAPH = np.full((2, 3, 3), 0.5, np.float32)


def test_a_quadratic_is_minimised_within_the_range_of_pixels() -> None:
    target = np.linspace(0.2, 0.8, 18, dtype=np.float32).reshape(2, 3, 3)
    target[0, 0, 0] = 2.0  # outside: the nearest pixel value is 1

    def losses(image: jax.Array) -> dict[str, jax.Array]:
        total = ((image[0] - target) ** 2).sum()
        return {"total": total, "half": total / 2}

    found = optimise(losses, PHOTOGRAPH, iterations=150, rate=0.05)
    np.testing.assert_allclose(found.image, np.minimum(target, 1), atol=0.03)
    total = found.curves["total"]
    assert total.shape == (151,)
    np.testing.assert_allclose(found.curves["half"], total / 2, rtol=1e-6)
    assert found.seconds > 0
    assert total[0] == pytest.approx(float(((PHOTOGRAPH - target) ** 2).sum()))
    assert found.losses["half"] == pytest.approx(found.losses["total"] / 2)
    assert found.losses["total"] == pytest.approx(1.0, abs=0.02)


def test_the_best_picture_is_kept_where_a_loss_rises() -> None:
    """A loss of the distance from the photograph: every update makes it worse."""
    found = optimise(
        lambda image: {"total": jnp.abs(image[0] - PHOTOGRAPH + 1e-3).sum()}, PHOTOGRAPH, 3, 0.3
    )
    assert found.losses["total"] == pytest.approx(min(found.curves["total"]), rel=1e-5)


def test_a_picture_whose_loss_is_nan_is_not_the_best() -> None:

    def losses(image: jax.Array) -> dict[str, jax.Array]:
        at_photograph = (image[0] == PHOTOGRAPH).all()
        return {"total": jnp.where(at_photograph, 1 + (image[0] - PHOTOGRAPH).sum(), jnp.nan)}

    found = optimise(losses, PHOTOGRAPH, 1, 0.3)
    assert np.isnan(found.curves["total"][-1])
    assert found.losses["total"] == 1
    np.testing.assert_array_equal(found.image, PHOTOGRAPH)
