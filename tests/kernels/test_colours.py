"""Colour jitter: each image by factors of its own, grey stays grey."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.colours import colour_jitter, random_grey, random_hue
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


YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def draws(rows: np.ndarray) -> list[float]:
    return [float(jax.random.uniform(jax.random.fold_in(key(), int(row)))) for row in rows]


def turned(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = []
    for u, image in zip(draws(rows), images, strict=True):
        angle = 2 * np.pi * 0.1 * (2 * u - 1)
        turn = np.eye(3)
        turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        out.append(np.clip(image @ (np.linalg.inv(YIQ) @ turn @ YIQ).T, 0, 1))
    return np.array(out)


def greyed(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    out = images.copy()
    for n, u in enumerate(draws(rows)):
        if u < 0.5:
            out[n] = (images[n] @ GREY)[..., None]
    return out


def _coloured(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return ROWS, generator.uniform(0.2, 0.7, (4, 3, 5, 3))


CASES = {
    "random_hue": Case(
        lambda rows, x: random_hue(key(), rows, x, 0.1),
        turned,
        _coloured,
        grads=(1,),
        batched=(0, 1),
        f32=2e-6,
        edges={"black": (ROWS, np.zeros((4, 2, 2, 3)))},
    ),
    "random_grey": Case(
        lambda rows, x: random_grey(key(), rows, x, 0.5), greyed, _coloured, (1,), (0, 1)
    ),
    **{
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
    },
}


@pytest.mark.slow
def test_hue_keeps_the_brightness() -> None:
    x = jnp.asarray(_coloured(np.random.default_rng(1))[1], jnp.float32)
    found = np.asarray(random_hue(key(), ROWS, x, 0.05))
    assert np.abs(found - x).max() > 0.01
    np.testing.assert_allclose(found @ GREY, np.asarray(x) @ GREY, atol=2e-3)
    np.testing.assert_array_equal(random_grey(key(), ROWS, x[..., :1], 1.0), x[..., :1])


@pytest.mark.slow
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
