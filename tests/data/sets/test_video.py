"""Moving digits: the same video for an index everywhere, straight paths, reflections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcore.data.sets import video
from dlcore.data.sets.video import SPEED, MovingDigits
from dlcore.data.source import Info
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def dots(per_clip: int, frames: int = 60, canvas: int = 101, seed: int = 3) -> MovingDigits:
    """Digits of one pixel, so that a position is where the pixel is."""
    info = Info("dots", "1", "train", "", 100)
    return MovingDigits(np.full((1, 1, 1), 255, np.uint8), frames, canvas, per_clip, seed, info)


def test_a_digit_moves_straight_on_and_is_reflected_at_the_borders() -> None:
    clip = dots(1).gather(np.array([7]))["video"][0, ..., 0]
    assert (clip.reshape(len(clip), -1) > 0).sum(1).tolist() == [1] * len(clip)
    path = np.stack([np.argwhere(frame)[0] for frame in clip])
    steps = np.diff(path, axis=0)
    bounced = (path[1:-1] <= 100 * SPEED) | (path[1:-1] >= 100 * (1 - SPEED))
    for axis in (0, 1):
        inside = np.flatnonzero(~bounced[:, axis])
        # away from the borders the velocity is constant but for rounding to whole pixels
        assert (abs(steps[inside, axis] - steps[inside + 1, axis]) <= 1).all()
        assert np.sign(steps[:, axis]).min() == -1
        assert np.sign(steps[:, axis]).max() == 1
    assert path.min() >= 0
    assert path.max() <= 100


def test_an_example_depends_on_seed_and_index_alone() -> None:
    source = dots(2)
    together = source.gather(np.arange(6))["video"]
    for i in (0, 5):
        np.testing.assert_array_equal(source.gather(np.array([i]))["video"][0], together[i])
    other = dots(2, seed=4).gather(np.arange(6))["video"]
    assert (other != together).any()
    assert len({clip.tobytes() for clip in together}) == 6


def test_offline_digits_are_other_ones_in_each_split() -> None:
    found = video.load("offline", 16, 6, held_out=20)
    assert found.facts.examples == {"train": 100_000, "validation": 20, "test": 20}
    assert found.facts.fields["video"] == {"shape": [6, 16, 16, 1], "dtype": "uint8"}
    assert len({info["fingerprint"] for info in found.facts.sources.values()}) == 3
    digits = [{d.tobytes() for d in source.digits} for _, source in found.items()]
    assert len(digits[0] & digits[2]) < 3  # scikit-learn has a few digits twice
    assert video.load("offline", 40, 6).train.digits.shape[1:] == (28, 28)


def test_impossible_canvases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple of 8"):
        video.load("offline", 20)
    with pytest.raises(UsageError, match="no such folder"):
        video.load(tmp_path / "clips", 16)
