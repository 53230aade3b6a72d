"""Colour jitter: each image by factors of its own, grey stays grey."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from dlcore.kernels.colours import colour_jitter
from tests.kernels.case import Case

ROWS = np.arange(4, dtype=np.int32)
GREY = np.array([0.299, 0.587, 0.114])
S = (0.4, 0.5, 0.6)


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(3)


def jittered(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = []
    for row, image in zip(rows, images, strict=True):
        draw = np.asarray(jax.random.uniform(jax.random.fold_in(key(), int(row)), (3,)), np.float64)
        bright, far, vivid = 1 + (2 * draw - 1) * S
        x = image * bright
        mean = (x @ GREY).mean() if x.shape[-1] == 3 else x.mean()
        x = mean + (x - mean) * far
        grey = (x @ GREY)[..., None] if x.shape[-1] == 3 else x
        out.append(np.clip(grey + (x - grey) * vivid, 0, 1))
    return np.array(out)


CASES = {
    f"colour_jitter:{channels}": Case(
        lambda rows, x: colour_jitter(key(), rows, x, *S),
        jittered,
        lambda generator, channels=channels: (
            ROWS,
            generator.uniform(0.2, 0.6, (4, 5, 3, channels)),
        ),  # type: ignore[misc]
        batched=(0, 1),
        edges={
            "black and white": (
                ROWS,
                np.stack([np.zeros((5, 3, channels))] * 2 + [np.ones((5, 3, channels))] * 2),
            )
        },
    )
    for channels in (1, 3)
}


def test_nothing_changes_by_a_factor_of_one() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (4, 5, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(colour_jitter(key(), ROWS, x), x, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_other_numbers_are_refused() -> None:
    x = np.zeros((4, 5, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"are in \[0, 1\]"):
        colour_jitter(key(), ROWS, x, brightness=1.5)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        colour_jitter(key(), ROWS, x[..., :2])
