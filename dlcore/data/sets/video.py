"""Short videos: digits that move and bounce (Moving MNIST), or a user's own clips."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import videos as own
from dlcore.data.sets import embedded
from dlcore.data.source import Arrays, Batch, Info
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

SPEED = 0.1  # of the free range of positions per frame, as in the original data set
_SEEDS = {"train": 1, "validation": 2, "test": 3}
_SMALL = 12  # pixels; canvases below three times this size show scikit-learn's digits at 8x8


@dataclasses.dataclass(frozen=True, eq=False)
class MovingDigits:
    """Videos of digits that move in straight lines and are reflected at the borders.

    Each example is generated when it is gathered, from the seed and its index alone. After
    Srivastava et al. 2015, sec. 4.1.

    Attributes:
        digits: uint8 [n, height, width], from which each video draws `per_clip`.
        frames: number of frames of a video.
        canvas: height and width of a frame in pixels.
        per_clip: digits of a video; where they overlap, the brighter pixel is shown.
        seed: of the videos.
        info: which data these are.
    """

    digits: np.ndarray
    frames: int
    canvas: int
    per_clip: int
    seed: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        """Returns the videos `index`, int [rows].

        Returns:
            {"video": uint8 [rows, frames, canvas, canvas, 1]}.
        """
        return {"video": np.stack([self._clip(int(i)) for i in np.asarray(index)])}

    def _clip(self, index: int) -> np.ndarray:
        # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
        random = np.random.RandomState([self.seed, index])
        chosen = random.randint(0, len(self.digits), self.per_clip)
        start = random.random_sample((self.per_clip, 2))
        angle = random.random_sample(self.per_clip) * 2 * np.pi
        velocity = SPEED * np.stack([np.sin(angle), np.cos(angle)], -1)
        time = np.arange(self.frames)[:, None, None]
        # reflection at 0 and 1 folds the straight line into a triangle wave
        position = 1 - np.abs(1 - (start[None] + velocity[None] * time) % 2)
        height, width = self.digits.shape[1:]
        corner = (position * [self.canvas - height, self.canvas - width]).astype(int)
        video = np.zeros((self.frames, self.canvas, self.canvas), np.uint8)
        for digit, corners in zip(self.digits[chosen], corner.swapaxes(0, 1), strict=True):
            for frame, (top, left) in zip(video, corners, strict=True):
                window = frame[top : top + height, left : left + width]
                np.maximum(window, digit, out=window)
        return video[..., None]


def load(
    source: DataSource,
    canvas: int = 64,
    frames: int = 20,
    digits: int = 2,
    train: int = 100_000,
    held_out: int = 1_000,
) -> Splits:
    """Loads videos as splits of `video`, uint8 [frames, height, width, channels].

    Args:
        source: "published": MNIST digits of 28x28 that move over a black canvas, generated
            from a fixed seed; training, validation and test show different digits. "offline": the
            same of scikit-learn's digits, of 28x28, on a canvas below 36 pixels of 8x8. A path: a
            user's clips (`dlcore.data.own.videos`), each cut into windows of `frames` frames.
        canvas: height and width of the frames, a multiple of 8; a user's clips are resized to it.
        frames: number of frames of each example.
        digits: number of digits in each generated video.
        train, held_out: number of generated videos of the training split, and of each other split.

    Returns:
        Splits; `facts` has `generated`, whether the videos are generated, and of a user's clips
        `by_hash`. Generated videos have 1 channel, a user's 1 or 3.

    Raises:
        UsageError: MNIST is not prepared, a canvas smaller than a digit or no multiple of 8, or
            faults in own files.
    """
    if canvas % 8:
        raise UsageError(f"a canvas of {canvas} pixels: the networks need a multiple of 8")
    if isinstance(source, Path):
        return own.load(source, (canvas, canvas), frames)
    offline = is_offline("moving_mnist", source)
    name = "moving digits" if offline else "moving_mnist"
    parts = _embedded(canvas) if offline else _mnist()
    sources = {
        split: _moving(name, split, part, canvas, frames, digits, train, held_out)
        for split, part in parts.items()
    }
    return Splits.of(sources, facts=Facts(generated=True))


def _mnist() -> dict[str, Arrays]:
    parts = {"train": "train[:55000]", "validation": "train[55000:]", "test": "test"}
    return {split: tfds.load("mnist", part, features=["image"]) for split, part in parts.items()}


def _embedded(canvas: int) -> dict[str, Arrays]:
    read = embedded.digits if canvas < 3 * _SMALL else embedded.digits28
    return {split: read(split) for split in _SEEDS}


def _moving(
    name: str,
    split: str,
    images: Arrays,
    canvas: int,
    frames: int,
    digits: int,
    train: int,
    held_out: int,
) -> MovingDigits:
    pixels = np.asarray(images.arrays["image"])[..., 0]
    if canvas < max(pixels.shape[1:]):
        raise UsageError(
            f"a canvas of {canvas} pixels is smaller than a digit of {pixels.shape[1]}: take"
            " --canvas 64"
        )
    seed, count = _SEEDS[split], train if split == "train" else held_out
    settings = [images.info.fingerprint, frames, canvas, digits, seed, SPEED, 1]
    mark = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    info = Info(name, images.info.version, split, mark, count)
    return MovingDigits(pixels, frames, canvas, digits, seed, info)
