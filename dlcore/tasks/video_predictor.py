"""Predictions of what follows a user's own videos."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
from jax import Array

from dlcore.bounds import Range
from dlcore.data.facts import Facts
from dlcore.data.own import video_decoding, videos
from dlcore.errors import UsageError
from dlcore.samples import Animations
from dlcore.tasks.video_prediction import predictions
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Flags of `dlcore predict` for a model of videos."""

    start: Annotated[int, Range(-1)] = -1
    """number of the first frame that is read; -1: the last frames of the video are read"""


@dataclasses.dataclass(frozen=True)
class VideoPredictor:
    """Predicts the frames that follow those of a user's animated image, or of a folder of frames.

    Attributes:
        model: computes predictions, see `video_prediction.loss`.
        facts: of the training data: the shape of the field `video`, and `frames_in`, the number of
            given frames.
        options: flags of `dlcore predict`.
    """

    model: Model
    facts: Facts
    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[tuple[np.ndarray, int]]:
        """Reads files of videos and folders of frames; `text` is not used.

        Returns:
            What `item` returns for each, after its height and width are resized to those of the
            training videos.

        Raises:
            UsageError: a file is no video, or has too few frames.
        """
        for file in files:
            if why := videos.fault(file):
                raise UsageError(why)
        return [self.item(video_decoding.read(file, self._shape[1:3]), file.name) for file in files]

    def in_folder(self, folder: Path) -> list[Path]:
        """Lists what is in a folder of videos; the folder itself if its files are frames.

        Raises:
            UsageError: the folder has no videos.
        """
        return videos.listed(folder)

    def item(self, value: object, name: str = "this video") -> tuple[np.ndarray, int]:
        """Converts a video to the channels of the training data, and finds the first frame to read.

        Args:
            value: uint8 [frames, h, w, 1 or 3], h and w of the training videos.
            name: of the video, for messages.

        Returns:
            All frames, uint8 [frames, h, w, c], and the index of the first given frame:
            `options.start`, or where this is -1 the one from which the given frames end the video.

        Raises:
            UsageError: an array of another shape or dtype, or too few frames.
        """
        video, given = np.asarray(value), int(self.facts.frames_in)
        fits = video.ndim == 4 and video.shape[1:3] == self._shape[1:3]
        if not fits or video.dtype != np.uint8 or video.shape[3] not in (1, 3):
            size = " x ".join(map(str, self._shape[1:3]))
            raise UsageError(f"{name} is no uint8 [frames, h, w, 1 or 3] of {size} pixels")
        if self._shape[3] == 3 and video.shape[3] == 1:
            video = np.repeat(video, 3, 3)
        if self._shape[3] == 1 and video.shape[3] == 3:
            weights = np.array([0.299, 0.587, 0.114])  # as Pillow converts to grey
            video = np.rint(video @ weights).astype(np.uint8)[..., None]
        start = len(video) - given if self.options.start < 0 else self.options.start
        if start < 0 or start + given > len(video):
            raise UsageError(
                f"{name} has {len(video)} frames, and {given} are read from frame {max(start, 0)}:"
                " give a longer video, or another --start"
            )
        return video, start

    def batch(self, state: State, items: Sequence[tuple[np.ndarray, int]]) -> list[Answer]:
        """Answers a batch of videos.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"first_frame", "frames_read", "frames_predicted"}, an animation of the given frames
            and the predicted ones) of each; where the video has as many frames after the given ones
            as are predicted, also "squared_error" and "squared_error_of_copy_last", see
            `video_prediction.loss`.
        """
        given = int(self.facts.frames_in)
        windows = np.stack([video[start : start + given] for video, start in items])
        made = np.asarray(self._compiled(state.params, state.extra, windows))
        return [self._answer(*item, each) for item, each in zip(items, made, strict=True)]

    def _answer(self, video: np.ndarray, start: int, made: np.ndarray) -> Answer:
        given = int(self.facts.frames_in)
        answer: dict[str, object] = {"first_frame": start, "frames_read": given}
        answer["frames_predicted"] = len(made)
        end = start + given
        true = video[end : end + len(made)]
        if len(true) == len(made):
            for name, shown in (("", made), ("_of_copy_last", video[end - 1 : end])):
                error = ((shown / 255.0 - true / 255.0) ** 2).sum((1, 2, 3))
                answer[f"squared_error{name}"] = float(error.mean())
        clip = np.concatenate([video[start:end], made])
        return answer, Animations("Given frames, and those predicted", [clip])

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["video"]["shape"])

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        given = int(self.facts.frames_in)
        return jax.jit(lambda p, e, video: predictions(self.model, p, e, video, given))


def predictor(model: Model, facts: Facts) -> VideoPredictor:
    """Returns the predictor of the next frames; `dlcore predict --out` writes animations.

    Args:
        model, facts: see `VideoPredictor`.
    """
    return VideoPredictor(model, facts)
