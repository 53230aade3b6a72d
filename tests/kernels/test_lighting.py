"""Local contrast: each pixel by its own neighbourhood, whatever the light."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dlcore.kernels.lighting import local_contrast
from tests.kernels.case import Case


def blurred(x: np.ndarray) -> np.ndarray:
    def blur(y: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(y, (0, 1.2, 1.2, 0), mode="constant", truncate=4)

    return blur(x) / blur(np.ones_like(x))


def reference(images: np.ndarray) -> np.ndarray:
    x = images - blurred(images)
    whole = (x**2).mean((1, 2), keepdims=True)
    return np.clip(x / np.sqrt(blurred(x**2) + 0.01 * whole + 1e-6), -3, 3)


CASES = {
    "local_contrast": Case(
        lambda x: local_contrast(x, 1.2),
        reference,
        lambda generator: (generator.standard_normal((3, 7, 9, 2)),),
        grads=(0,),
        f32=5e-6,
        bf16=5e-2,
        edges={"flat": (np.zeros((2, 4, 4, 1)),)},
    )
}


@pytest.mark.slow
def test_a_light_that_changes_slowly_changes_little() -> None:
    """The logarithm of a product is a sum, of which the slow part is taken away."""
    generator = np.random.default_rng(0)
    face = generator.uniform(0.2, 1, (1, 24, 24, 1))
    light = np.exp(np.linspace(-2, 1, 24))[None, None, :, None]
    plain, lit = (local_contrast(jnp.log(jnp.asarray(x, jnp.float32)), 1.5)
                  for x in (face, face * light))  # fmt: skip
    inner = np.s_[:, 4:-4, 4:-4]
    assert np.abs(np.asarray(plain - lit)[inner]).max() < 0.3
    assert np.corrcoef(np.ravel(plain), np.ravel(lit))[0, 1] > 0.98
    with pytest.raises(ValueError, match="above 0"):
        local_contrast(plain, 0.0)
