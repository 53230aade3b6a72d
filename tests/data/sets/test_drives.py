"""Drives: examples see the past and never the future, and splits are of the time."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data.sets import drives
from dlcore.data.source import Info

pytestmark = pytest.mark.quick


def numbered(count: int, history: int) -> drives.Drive:
    """Frames and steering that are their number."""
    frames = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    info = Info("d", "1", "all", "", count - history)
    return drives.Drive(frames, np.arange(count, dtype=np.float32), history, info)


def test_an_example_is_a_frame_with_those_before_it() -> None:
    batch = numbered(7, 3).gather(np.array([0, 3]))
    assert batch["image"][..., 0, 0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert batch["target"].tolist() == [3, 6]
    assert batch["previous"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(numbered(7, 3)) == 4


@pytest.mark.slow
def test_splits_share_no_frame_and_are_in_order_of_time() -> None:
    splits = drives.load("offline", 2)
    sections = [splits[name].steering for name in ("train", "validation", "test")]
    frames, steering = drives.drawn(600)
    np.testing.assert_array_equal(np.concatenate(sections), steering)
    assert [len(section) for section in sections] == [420, 60, 120]
    assert splits.facts.mean_steering == pytest.approx(steering[:420].mean(), abs=1e-6)
    assert splits.train.gather(np.arange(2))["image"].shape == (2, 2, *drives.SHAPE)
    assert frames.dtype == np.uint8


def test_the_drawn_road_shows_its_curvature() -> None:
    """Far ahead the road is where it turns to: its place there is nearly linear in the steering."""
    frames, steering = drives.drawn(200)
    far = frames[:, drives.SHAPE[0] // 4 + 2, :, 1].astype(float)
    dark = far < far.mean(1, keepdims=True)
    place = (dark * np.arange(drives.SHAPE[1])).sum(1) / dark.sum(1)
    assert np.corrcoef(place, steering)[0, 1] > 0.9


def test_the_drawn_road_is_dark_between_bright_edges() -> None:
    frames, _ = drives.drawn(20)
    near = frames[:, -2, :, 0].astype(float)
    middle = drives.SHAPE[1] // 2
    road = near[:, middle - 2 : middle + 2].mean(1)
    assert (road < 120).all()
    assert (near.max(1) > road + 60).all()
