"""Baselines and data without answers for videos, style transfer and translation of pictures."""

from __future__ import annotations

import dataclasses

import numpy as np

from dlcore.data.source import Batch, Info, Source
from dlcore.train.experiment import Experiment


@dataclasses.dataclass(frozen=True, eq=False)
class OtherFuture:
    """Videos whose frames from `frames` on are those of another video."""

    source: Source
    frames: int

    @property
    def info(self) -> Info:
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: np.ndarray) -> Batch:
        other = (np.asarray(index, np.int64) * 7919 + 1) % len(self)
        given = self.source.gather(index)["video"][:, : self.frames]
        future = self.source.gather(other)["video"][:, self.frames :]
        return {"video": np.concatenate([given, future], 1)}


def other_future(experiment: Experiment) -> Source:
    """The training videos, each with the future of another one."""
    return OtherFuture(experiment.train, experiment.splits.facts.frames_in)


def mean_frame(experiment: Experiment) -> float:
    """The squared error of validation by the mean of the training frames, pixel by pixel."""
    sources = (experiment.train, experiment.evaluated["validation"])
    train, held = (s.gather(np.arange(min(500, len(s))))["video"] / 255.0 for s in sources)
    held = held[:, experiment.splits.facts.frames_in :]
    return float(((held - train.mean((0, 1))) ** 2).sum((2, 3, 4)).mean())


def mean_of_style(experiment: Experiment) -> float:
    """The squared error of the mean outlined picture of training, on the test pictures."""
    mean = np.asarray(experiment.train.arrays["b"], np.float64).mean(0) / 255
    return float(((experiment.splits.test.arrays["true_b"] / 255.0 - mean) ** 2).mean())


def photograph(experiment: Experiment) -> float:
    """The loss of photographs that nothing was done to is 1, as a fraction of itself."""
    return 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class OneColour:
    """Crops without anything on them: each has the mean colour of the real one."""

    source: Source

    @property
    def info(self) -> Info:
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: np.ndarray) -> Batch:
        image = self.source.gather(index)["image"]
        mean = image.mean((1, 2), keepdims=True).astype(np.uint8)
        return {"image": np.broadcast_to(mean, image.shape).copy()}


def one_colour(experiment: Experiment) -> Source:
    """The training crops without what is on them."""
    return OneColour(experiment.train)
