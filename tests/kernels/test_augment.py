"""Augmentation: no pixel is invented, each image decides for itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dlcore.kernels.augment import cutmix, mixup, random_erase, random_flip, random_shift
from tests.kernels.case import Case

pytestmark = pytest.mark.slow

ROWS = np.arange(6, dtype=np.int32)
PIXELS = 2
SIDE = 3
ALPHA = 0.7


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(1)


def flipped(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    coins = [bool(jax.random.bernoulli(jax.random.fold_in(key(), int(row)))) for row in rows]
    return np.stack(
        [image[:, ::-1] if coin else image for coin, image in zip(coins, images, strict=True)]
    )


def shifted(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = np.zeros_like(images)
    _, height, width, _ = images.shape
    for row, image, to in zip(rows, images, out, strict=True):
        corner = jax.random.randint(jax.random.fold_in(key(), int(row)), (2,), 0, 2 * PIXELS + 1)
        down, right = (PIXELS - int(c) for c in corner)
        for i in range(height):
            for j in range(width):
                if 0 <= i - down < height and 0 <= j - right < width:
                    to[i, j] = image[i - down, j - right]
    return out


def in_box(
    k: jax.Array, height: int, width: int, box_height: int, box_width: int
) -> set[tuple[int, int]]:
    """The pixels of a box around a random one, those outside of the image too."""
    i = int(jax.random.randint(jax.random.fold_in(k, 0), (), 0, height)) - box_height // 2
    j = int(jax.random.randint(jax.random.fold_in(k, 1), (), 0, width)) - box_width // 2
    return {(i + a, j + b) for a in range(box_height) for b in range(box_width)}


def erased(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Pixel after pixel."""
    out = images.copy()
    for row, image in zip(rows, out, strict=True):
        box = in_box(jax.random.fold_in(key(), int(row)), *image.shape[:2], SIDE, SIDE)
        for i, j in np.ndindex(*image.shape[:2]):
            if (i, j) in box:
                image[i, j] = 0
    return out


def shares(rows: np.ndarray, alpha: float) -> np.ndarray:
    """A draw from Beta(alpha, alpha) a row; Beta(1, 1) is the uniform distribution."""
    draw = jax.random.uniform if alpha == 1 else lambda key: jax.random.beta(key, alpha, alpha)
    return np.array([float(draw(jax.random.fold_in(key(), int(row)))) for row in rows])


def mixed(rows: np.ndarray, images: np.ndarray, paired: np.ndarray) -> np.ndarray:
    """One pair after the other."""
    return np.stack(
        [s * a + (1 - s) * b for s, a, b in zip(shares(rows, 1.0), images, paired, strict=True)]
    )


def pasted(
    rows: np.ndarray, images: np.ndarray, paired: np.ndarray, alpha: float = 1.0
) -> np.ndarray:
    """Pixel after pixel; the fraction that stayed is in one more row of pixels."""
    _, height, width, channels = images.shape
    out = np.empty((len(images), height + 1, width, channels))
    for n, (row, share) in enumerate(zip(rows, shares(rows, alpha), strict=True)):
        box_height, box_width = (
            round(float(np.sqrt(1 - share)) * side) for side in (height, width)
        )
        box = in_box(
            jax.random.fold_in(jax.random.fold_in(key(), int(row)), 1),
            height,
            width,
            box_height,
            box_width,
        )
        inside = {place for place in box if 0 <= place[0] < height and 0 <= place[1] < width}
        for i, j in np.ndindex(height, width):
            out[n, i, j] = paired[n, i, j] if (i, j) in inside else images[n, i, j]
        out[n, height] = 1 - len(inside) / (height * width)
    return out


def cutmix_and_share(
    rows: jax.Array, images: jax.Array, paired: jax.Array, alpha: float = 1.0
) -> jax.Array:
    """Both of what cutmix returns, the share as one more row of pixels."""
    image, share = cutmix(key(), rows, images, paired, alpha)
    return jnp.concatenate(
        [image, jnp.broadcast_to(share[:, None, None, None], (len(rows), 1, *image.shape[2:]))], 1
    )


def _pairs(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    return ROWS, *generator.standard_normal((2, 6, 8, 5, 2))


def _edges_of_pairs() -> dict[str, tuple[np.ndarray, ...]]:
    return {name: (rows, images, images[::-1].copy()) for name, (rows, images) in _edges().items()}


def _edges() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "one pixel": (ROWS, np.arange(6.0).reshape(6, 1, 1, 1)),
        "huge and tiny": (
            ROWS,
            np.tile(np.array([1e4, 1e30, 1e-30]).reshape(1, 1, 3, 1), (6, 2, 1, 1)),
        ),
        "not finite": (
            ROWS,
            np.tile(np.array([np.nan, np.inf, -np.inf]).reshape(1, 1, 3, 1), (6, 2, 1, 1)),
        ),
    }


def _images(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return ROWS, generator.standard_normal((6, 4, 5, 2))


CASES = {
    "random_flip": Case(
        lambda rows, x: random_flip(key(), rows, x),
        flipped,
        _images,
        grads=(1,),
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges=_edges(),
    ),
    "random_shift": Case(
        lambda rows, x: random_shift(key(), rows, x, PIXELS),
        shifted,
        _images,
        grads=(1,),
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges=_edges(),
    ),
    "random_erase": Case(
        lambda rows, x: random_erase(key(), rows, x, SIDE),
        erased,
        _images,
        grads=(1,),
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges=_edges(),
    ),
    "mixup": Case(
        lambda rows, x, y: mixup(key(), rows, x, y, 1.0)[0],
        mixed,
        _pairs,
        grads=(1, 2),
        batched=(0, 1, 2),
        edges=_edges_of_pairs(),
    ),
    "mixup:share": Case(
        lambda rows, x, y: mixup(key(), rows, x, y, ALPHA)[1],
        lambda rows, x, y: shares(rows, ALPHA),
        _pairs,
        batched=(0, 1, 2),
    ),
    "cutmix": Case(
        cutmix_and_share, pasted, _pairs, grads=(1, 2), batched=(0, 1, 2), edges=_edges_of_pairs()
    ),
}

# every pixel is another number, none is 0
IMAGES = jnp.arange(1, 1 + 200 * 3 * 4 * 2, dtype=jnp.float32).reshape(200, 3, 4, 2)


def test_flip_mirrors_half_of_the_images_and_twice_is_nothing() -> None:
    once, before = np.asarray(random_flip(key(), jnp.arange(200), IMAGES)), np.asarray(IMAGES)
    mirrored = (once == before[:, :, ::-1]).all((1, 2, 3))
    np.testing.assert_array_equal(once[~mirrored], before[~mirrored])
    assert 70 < mirrored.sum() < 130
    np.testing.assert_array_equal(random_flip(key(), jnp.arange(200), once), IMAGES)


def test_shift_invents_no_values_and_reaches_every_offset() -> None:
    moved = np.asarray(random_shift(key(), jnp.arange(200), IMAGES, 1))
    offsets = set()
    for before, after in zip(np.asarray(IMAGES), moved, strict=True):
        kept = after != 0
        assert np.isin(after[kept], before).all()
        assert len(np.unique(after[kept])) == kept.sum()  # no pixel appears twice
        i, j, c = np.argwhere(kept)[0]
        a, b, _ = np.argwhere(before == after[i, j, c])[0]
        offsets.add((int(i - a), int(j - b)))
    assert offsets == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_shift_by_no_pixels_is_the_identity_and_integers_stay_integers() -> None:
    images = jnp.asarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1))
    np.testing.assert_array_equal(random_shift(key(), jnp.arange(2), images, 0), images)
    assert random_shift(key(), jnp.arange(2), images, 1).dtype == jnp.uint8
    assert random_flip(key(), jnp.arange(2), images).dtype == jnp.uint8


@pytest.mark.parametrize("kernel", [random_flip, lambda k, r, x: random_shift(k, r, x, 1)])
def test_images_in_another_order_are_changed_the_same_way(kernel) -> None:
    order = np.random.default_rng(0).permutation(20)
    together = np.asarray(kernel(key(), jnp.arange(20), IMAGES[:20]))
    np.testing.assert_array_equal(kernel(key(), order, IMAGES[:20][order]), together[order])


def test_squares_are_erased_around_every_pixel() -> None:
    gone = (
        np.asarray(jax.jit(random_erase, static_argnums=3)(key(), jnp.arange(200), IMAGES, 1)) == 0
    )
    assert (gone.sum((1, 2, 3)) == 2).all()  # one pixel, both channels
    assert gone.any(0).all()
    assert (
        random_erase(key(), jnp.arange(2), jnp.ones((2, 3, 4, 1), jnp.uint8), 2).dtype == jnp.uint8
    )


def test_shares_are_beta_distributed_and_say_what_is_in_the_mixture() -> None:
    rows, ones, zeros = jnp.arange(1000), jnp.ones((1000, 16, 16, 1)), jnp.zeros((1000, 16, 16, 1))
    for alpha in (0.4, 1.0):
        image, share = jax.jit(mixup, static_argnums=4)(key(), rows, ones, zeros, alpha)
        np.testing.assert_allclose(image.mean((1, 2, 3)), share, rtol=1e-5)
        assert (
            scipy.stats.kstest(np.asarray(share), scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01
        )
    image, share = jax.jit(cutmix, static_argnums=4)(key(), rows, ones, zeros, 1.0)
    np.testing.assert_allclose(image.mean((1, 2, 3)), share, rtol=1e-5)
    assert set(np.unique(image)) == {0.0, 1.0}
    assert 0.5 < share.mean() < 0.75  # one half, and more where a box reaches over the border


def test_boxes_of_a_beta_distribution_are_pasted_too() -> None:
    """The cases above draw from Beta(1, 1), which needs none of the loops that take seconds to
    compile.
    """
    x = tuple(
        np.asarray(a, np.int32 if a is ROWS else np.float32)
        for a in _pairs(np.random.default_rng(0))
    )
    np.testing.assert_allclose(
        jax.jit(cutmix_and_share, static_argnums=3)(*x, ALPHA), pasted(*x, ALPHA), rtol=1e-6
    )


@pytest.mark.parametrize("kernel", [mixup, cutmix])
def test_mixing_an_image_with_itself_changes_nothing_and_alpha_is_above_0(kernel) -> None:
    found = kernel(key(), jnp.arange(200), IMAGES, IMAGES, 1.0)[0]
    np.testing.assert_allclose(found, IMAGES, rtol=1e-6)
    with pytest.raises(ValueError, match="alpha above 0"):
        kernel(key(), jnp.arange(200), IMAGES, IMAGES, 0.0)
