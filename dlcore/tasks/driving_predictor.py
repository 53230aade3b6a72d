"""Steering from image files: the frames of a policy's history at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from dlcore.analysis import saliency
from dlcore.data.facts import Facts
from dlcore.data.own import drive, files, image_decoding, video_decoding
from dlcore.data.own.image_decoding import ImageLike
from dlcore.errors import UsageError
from dlcore.samples import Images
from dlcore.tasks.driving import compiled, saliency_maps
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class SteeringOptions:
    """Flags of `dlcore predict` for a policy."""

    saliency: bool = False
    """mark the pixels that change the steering most in the picture of --out"""


@dataclasses.dataclass(frozen=True)
class PreviousOptions(SteeringOptions):
    """Flags of `dlcore predict` for a policy that is given the steering before, too."""

    previous: tuple[float, ...] = ()
    """steering at the frames before, the oldest first: that just before the last frame at last"""


class SteeringAnswer(TypedDict):
    """The answer to one moment.

    Attributes:
        steering: from -1 (left) to 1 (right), rounded to six decimals.
    """

    steering: float


@dataclasses.dataclass(frozen=True)
class SteeringPredictor:
    """Predicts the steering at the last of some frames.

    Attributes:
        model: computes steering [batch].
        facts: of the training data: `history`, and the shape of the field `image`.
        options: flags of `dlcore predict`; `PreviousOptions` for a model that also reads the
            steering at the frames before.
    """

    model: Model
    facts: Facts
    options: SteeringOptions = dataclasses.field(default_factory=SteeringOptions)

    @property
    def files_per_item(self) -> int:
        """The number of frames of one moment."""
        return int(self.facts.history)

    def in_folder(self, folder: Path) -> list[Path]:
        """Lists the frames of each moment in a folder, which ends with each frame in turn.

        The frames are, of a recorded drive or its folder IMG, the centre images in the order of its
        table; of another folder its images by name, numbers in the names compared as numbers.

        Returns:
            The frames of each moment, the oldest first, one moment after the other: a moment for
            each frame that has enough frames before it.

        Raises:
            UsageError: faults in the drive's table; a folder without images or with folders; or
                fewer frames than one moment has.
        """
        recorded = folder.parent if folder.name == drive.FRAMES else folder
        if (recorded / drive.LOG).is_file():
            frames = drive.frames(recorded)
        else:
            frames = video_decoding.frame_files(folder)
            below = [each for each in files.visible(folder) if each.is_dir()]
            if below or not frames:
                found = f"a folder, {below[0].name}" if below else "no images"
                raise UsageError(f"{folder} holds {found}: name folders that hold frames only")
        history = self.files_per_item
        if len(frames) < history:
            raise UsageError(
                f"{folder} has {len(frames)} frames, and this model takes {history} at a time: name"
                " a folder with more frames"
            )
        moments = [frames[last - history : last] for last in range(history, len(frames) + 1)]
        return [frame for moment in moments for frame in moment]

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads the frames of one moment, the oldest first, resized to the training frames.

        Returns:
            One item, uint8 [history, height, width, c].

        Raises:
            UsageError: a file is not an image, another number of files, or lines of text.
        """
        if text:
            raise UsageError("this model reads frames: name image files")
        return [self.item(files)]

    def item(self, value: np.ndarray | Sequence[ImageLike]) -> np.ndarray:
        """Converts frames, the oldest first, or an array uint8 of an example's shape.

        Args:
            value: the array; or a list of paths and images of Pillow, which are resized, and arrays
                of a frame's shape.

        Returns:
            uint8 [history, height, width, c].

        Raises:
            UsageError: a file is not an image, another number of them, or another array.
        """
        shape = tuple(self.facts.fields["image"]["shape"])
        if isinstance(value, np.ndarray):
            if value.shape != shape or value.dtype != np.uint8:
                raise UsageError(
                    f"frames here are uint8 {shape}, not {value.dtype} {value.shape}: resize them"
                )
            return value
        if not isinstance(value, list | tuple) or len(value) != shape[0]:
            other = len(value) if isinstance(value, list | tuple) else f"a {type(value).__name__}"
            raise UsageError(f"this model needs a list of {shape[0]} frames, not {other}")
        return np.stack([image_decoding.of_any(each, shape[1:]) for each in value])

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of moments.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            For each moment its `SteeringAnswer`, and `Images` of its last frame with the steering
            as caption; with `--saliency` the pixels that change the steering most are marked.

        Raises:
            UsageError: the model reads the steering at the frames before, and `--previous` does not
                give one value for each of the `history` frames, or there are several moments.
        """
        frames = np.stack(items)
        batch = {"image": frames, "row": np.arange(len(frames), dtype=np.int32)}
        if isinstance(self.options, PreviousOptions):
            if any(item is not items[0] for item in items):
                raise UsageError(
                    "--previous is the steering before one moment, and there are several: name the"
                    " frames of one"
                )
            batch["previous"] = np.tile(self._previous(self.options.previous), (len(frames), 1))
        steering = np.asarray(compiled(self.model)(state.params, state.extra, batch))
        shown = frames[:, -1]
        if self.options.saliency:
            shown = saliency.overlay(shown, saliency_maps(self.model, state, batch))
        return [
            (
                {"steering": round(float(value), 6)},
                Images("Steering", frame[None], (f"{value:+.3f}",)),
            )
            for value, frame in zip(steering, shown, strict=True)
        ]

    def _previous(self, given: Sequence[float]) -> np.ndarray:
        """The steering before, float32 [history]."""
        if len(given) != self.facts.history:
            raise UsageError(
                f"this model needs the steering at {self.facts.history} frames before, and"
                f" {len(given)} are given: name them after --previous, the oldest first"
            )
        return np.asarray(given, np.float32)

    def line(self, answer: SteeringAnswer) -> str:
        """Formats an answer: the steering and its side, "straight" where it is 0."""
        value = answer["steering"]
        side = "left" if value < 0 else "right" if value > 0 else "straight"
        return f"steering {value:+.3f} ({side})"


def predictor(model: Model, facts: Facts, previous: bool) -> SteeringPredictor:
    """Returns the predictor of a policy.

    Args:
        model: computes steering [batch].
        facts: of the training data.
        previous: whether the model reads the steering at the frames before, which `--previous`
            then gives.
    """
    return SteeringPredictor(model, facts, PreviousOptions() if previous else SteeringOptions())
