"""Drives: frames of a camera in their order in time, and the steering at each of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from dlcore.data import source as sources
from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import drive as own
from dlcore.data.source import Batch, Info
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

NAME, SHAPE = "udacity_track", (64, 128, 3)
_DRAWN, _SEED = 600, 2018


@dataclasses.dataclass(frozen=True, eq=False)
class Drive:
    """The frames of a section of a drive, each with those before it.

    An example has `image` uint8 [history, height, width, 3], the last one being the current frame;
    `target` float32, the steering at the current frame; and `previous` float32 [history], that at
    the frames before it, the last one being the frame just before the current one.

    Attributes:
        frames: uint8 [n, height, width, 3].
        steering: float32 [n].
        history: number of frames of an example.
        info: which data these are.
    """

    frames: np.ndarray
    steering: np.ndarray
    history: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        """Returns `image`, `target` and `previous`, each [rows, ...], see this class."""
        current = np.asarray(index, np.int64)[:, None] + self.history
        window = current + np.arange(1 - self.history, 1)
        return {
            "image": self.frames[window],
            "target": self.steering[current[:, 0]],
            "previous": self.steering[window - 1],
        }


def load(source: DataSource, history: int) -> Splits:
    """Loads a drive, split by time into training, validation and test data.

    The first 70 % of the frames are for training, the next 10 % for validation, the rest for test.

    Args:
        source: "published", the Udacity simulator's track; "offline", a drawn road whose curvature
            is the steering; or a path, see `dlcore.data.own.drive.load`.
        history: number of frames of an example, at least 1.

    Returns:
        Splits of `Drive`, which share no frame; `facts` has `history`, and `mean_steering` of the
        training frames.

    Raises:
        UsageError: the set is not prepared, faults in a user's files, or a drive that is too
            short.
    """
    if isinstance(source, Path):
        found, steering = own.load(source, SHAPE)
        frames, info = np.asarray(found.arrays["image"]), found.info
        name, version = info.name, info.version
    elif is_offline(NAME, source):
        frames, steering = drawn(_DRAWN)
        name, version = "drawn_road", "1"
    else:
        arrays = tfds.load(NAME, "train").arrays
        order = np.argsort(arrays["number"])
        frames, steering = np.asarray(arrays["image"])[order], arrays["steering"][order]
        name, version = NAME, tfds.version(NAME)
    made = {split: _part(name, version, split, frames, steering, history) for split in own.PARTS}
    mean = float(made["train"].steering.mean())
    return Splits.of(made, facts=Facts(history=history, mean_steering=mean))


def _part(
    name: str, version: str, split: str, frames: np.ndarray, steering: np.ndarray, history: int
) -> Drive:
    start, stop = (round(part * len(frames)) for part in own.PARTS[split])
    frames, steering = frames[start:stop], np.asarray(steering[start:stop], np.float32)
    if (count := stop - start - history) < 1:
        raise UsageError(
            f"{name} has {len(steering)} frames for {split}: too few for a history of {history};"
            " record a longer drive, or shorten the history"
        )
    digest = sources.fingerprint({"frames": frames, "steering": steering})
    described = f"{split}: frames {start} to {stop}, history {history}"
    return Drive(frames, steering, history, Info(name, version, described, digest, count))


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a drive along a road whose curvature, which each frame shows, is the steering.

    Args:
        count: number of frames.

    Returns:
        Frames uint8 [count, *SHAPE], and steering float32 [count] in [-0.5, 0.5].
    """
    random = np.random.RandomState(_SEED)
    curves = np.repeat(random.uniform(-0.5, 0.5, -(-count // 8)), 8)[:count]
    smooth = np.convolve(np.pad(curves, 2, mode="edge"), np.full(5, 0.2), "valid")
    height, width, _ = SHAPE
    depth = np.linspace(0, 1, height)[:, None]  # 0 far away, 1 at the car
    across = np.linspace(-1, 1, width)[None]
    frames = np.empty((count, *SHAPE), np.uint8)
    for frame, curve in zip(frames, smooth, strict=True):
        centre = curve * 1.2 * (1 - depth) ** 2 + random.uniform(-0.1, 0.1) * depth
        distance = np.abs(across - centre) / (0.08 + 0.5 * depth)
        road = np.where(distance < 1, 90, 150) + np.where(np.abs(distance - 1) < 0.1, 90, 0)
        colours = np.stack([road, road + 20 * (distance > 1), road - 30 * (distance > 1)], -1)
        colours[: height // 4] = (130, 180, 230)
        noisy = colours * random.uniform(0.8, 1.1) + random.normal(0, 6, SHAPE)
        frame[:] = np.clip(noisy, 0, 255)
    return frames, smooth.astype(np.float32)
