"""Otsu's threshold against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.analysis.thresholds import otsu

pytestmark = pytest.mark.quick


def test_maximises_the_variance_between_the_two_parts() -> None:
    generator = np.random.default_rng(0)
    image = np.concatenate([generator.normal(60, 10, 500), generator.normal(150, 25, 300)])
    image = np.clip(image, 0, 255).astype(np.uint8)

    def between(level: int) -> float:
        low, high = image[image <= level], image[image > level]
        if not len(low) or not len(high):
            return 0.0
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    scores = [between(level) for level in range(256)]
    assert otsu(image) == int(np.argmax(scores))
    assert 80 < otsu(image) < 120


def test_of_one_level_nothing_is_above() -> None:
    assert otsu(np.full((3, 3), 7, np.uint8)) == 0
    assert otsu(np.array([[3, 9]], np.uint8)) == 3
