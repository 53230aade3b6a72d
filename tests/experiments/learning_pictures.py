"""Baselines, and data without information on the answers, for videos and pictures."""

from __future__ import annotations

import dataclasses

import numpy as np

from dlcore.data.sets.photographs import Crops
from dlcore.data.sets.styles import Styled
from dlcore.data.source import Batch, Info, Source
from dlcore.train.experiment import Experiment


@dataclasses.dataclass(frozen=True, eq=False)
class OtherFuture:
    """Videos whose frames from number `frames` on are replaced by those of another video.

    Attributes:
        source: `video` [N, frames, height, width, c].
        frames: number of frames that are kept.
    """

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
    """Returns the training videos, each with the future frames of another one."""
    return OtherFuture(experiment.train, experiment.splits.facts.frames_in)


def mean_frame(experiment: Experiment) -> float:
    """Computes the validation error of predicting the mean training frame.

    Squared error, summed over the pixels of a frame, mean over frames and examples.
    """
    sources = (experiment.train, experiment.evaluated["validation"])
    train, held = (s.gather(np.arange(min(500, len(s))))["video"] / 255.0 for s in sources)
    held = held[:, experiment.splits.facts.frames_in :]
    return float(((held - train.mean((0, 1))) ** 2).sum((2, 3, 4)).mean())


def mean_of_style(experiment: Experiment) -> float:
    """Computes the mean squared error on test of the mean training picture of the second style."""
    mean = np.asarray(experiment.train.arrays["b"], np.float64).mean(0) / 255
    return float(((experiment.splits.test.arrays["true_b"] / 255.0 - mean) ** 2).mean())


@dataclasses.dataclass(frozen=True, eq=False)
class OneColour:
    """Crops of one colour: each has the mean colour of the photograph's crop.

    Attributes:
        source: crops of photographs, or those with styles, which stay.
        grey: whether the colour is a grey, the mean of the three channels.
    """

    source: Crops | Styled
    grey: bool = False

    @property
    def info(self) -> Info:
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: np.ndarray) -> Batch:
        crops = self.source.content if isinstance(self.source, Styled) else self.source
        image = dataclasses.replace(crops, colours=0.0).gather(index)["image"]
        axes = (1, 2, 3) if self.grey else (1, 2)
        mean = image.mean(axes, keepdims=True).astype(np.uint8)
        return {
            **self.source.gather(index),
            "image": np.broadcast_to(mean, image.shape).copy(),
        }


def one_colour(experiment: Experiment) -> Source:
    """Returns the training crops, each replaced by its mean colour."""
    return OneColour(_crops(experiment.train))


def one_grey(experiment: Experiment) -> Source:
    """Returns the training crops, each replaced by the grey of its mean."""
    return OneColour(_crops(experiment.train), grey=True)


def _crops(source: Source) -> Crops | Styled:
    assert isinstance(source, Crops | Styled)
    return source
