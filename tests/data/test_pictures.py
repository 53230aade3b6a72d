"""Crops and flips of single images on the host."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import pictures

pytestmark = pytest.mark.quick


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(40, 50), (20, 60), (60, 20), (16, 16)])
def test_random_crops_have_the_size_and_depend_on_the_generator(
    shape: tuple[int, int], channels: int
) -> None:
    picture = image(*shape, channels)
    made = [
        pictures.random_resized_crop(picture, np.random.default_rng(seed), 16)
        for seed in (0, 1, 2, 0)
    ]
    assert {(each.shape, each.dtype) for each in made} == {((16, 16, channels), np.dtype(np.uint8))}
    np.testing.assert_array_equal(made[0], made[3])
    assert len({each.tobytes() for each in made}) >= 2


def test_a_crop_of_the_whole_is_the_image() -> None:
    picture = image(16, 16)
    random = np.random.default_rng(0)
    whole = pictures.random_resized_crop(picture, random, 16, (1.0, 1.0), (1.0, 1.0))
    np.testing.assert_array_equal(whole, picture)
    np.testing.assert_array_equal(pictures.centre_crop(picture, 16), picture)


def test_the_central_square_is_cropped() -> None:
    picture = image(10, 30)
    np.testing.assert_array_equal(pictures.centre_crop(picture, 10), picture[:, 10:20])
    half = pictures.centre_crop(picture, 5, fraction=0.5)
    np.testing.assert_array_equal(half, picture[2:7, 12:17])


def test_a_parts_mean_brightness_survives_resizing() -> None:
    picture = np.zeros((20, 20, 1), np.uint8)
    picture[:, 10:] = 200
    right = pictures.resized(picture, (4, 6), (10, 0, 20, 20))
    assert right.shape == (4, 6, 1)
    np.testing.assert_array_equal(right, 200)


def test_half_of_the_images_are_mirrored() -> None:
    picture, random = image(4, 6), np.random.default_rng(0)
    made = [pictures.random_flip(picture, random) for _ in range(200)]
    mirrored = sum(bool((each == picture[:, ::-1]).all()) for each in made)
    assert all((each == picture).all() or (each == picture[:, ::-1]).all() for each in made)
    assert 70 < mirrored < 130
