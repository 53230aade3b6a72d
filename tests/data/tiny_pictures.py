"""The examples of the small prepared data set in conftest.py."""

from __future__ import annotations

import io

import numpy as np

TRAIN, TEST, BAD = 700, 30, 4  # examples of train and test; the damaged example of `bad`
FIXED = ("image", "label", "number", "point")  # features of fixed shape


def pictures(number: int) -> np.ndarray:
    return np.random.RandomState(number).randint(0, 256, (4, 5, 1), np.uint8)


def encoded(number: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pictures(number)[..., 0]).save(out, "PNG")
    return out.getvalue()
