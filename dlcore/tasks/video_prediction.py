"""Prediction of the next frames of a video, compared with copying the last given frame."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import Range
from dlcore.data.facts import Facts
from dlcore.data.own import videos
from dlcore.data.source import Source, first
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.images import psnr_of_each
from dlcore.metrics.known import Metric
from dlcore.metrics.structural import ssim
from dlcore.samples import Animations, Plot, Sample, Series
from dlcore.train.batched import over
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

METRICS = {
    "squared_error": Metric("lower"),
    "error_over_copy_last": Metric("lower"),
    "squared_error_of_copy_last": Metric(None),
    "squared_error_of_black": Metric(None),
    "ssim": Metric("higher"),
    "ssim_of_copy_last": Metric(None),
    "psnr": Metric("higher", "dB"),
    "psnr_of_copy_last": Metric(None, "dB"),
}
_SMALLEST = 1e-10  # of a mean squared error: equal images have 100 dB, and not infinitely many


def inputs(frames: int) -> Callable[[Batch, Array | None, bool], Array]:
    """Returns the `inputs` of a `Model`: the first frames of `video` as float32 in [0, 1].

    Args:
        frames: number of given frames.

    Returns:
        (batch, key, train) -> [batch, frames, h, w, c].
    """
    return lambda batch, key, train: _unit(batch["video"][:, :frames])


def _unit(video: Any) -> Any:
    return video.astype(jnp.float32) / 255


def loss(model: Model, frames: int) -> Loss:
    """Returns the mean squared error of the predicted pixels, for pixels in [0, 1].

    Metrics: `squared_error`, summed over the pixels of a frame and averaged over frames, as
    Moving MNIST is scored; `error_over_copy_last`, its ratio to that of predicting the last given
    frame; in evaluation, where predictions are clipped to [0, 1], also
    `squared_error_of_copy_last` and `squared_error_of_black`, of predicting black frames.

    Args:
        model: computes predictions [batch, frames out, h, w, c] of a batch with `video`, uint8
            [batch, frames + frames out, h, w, c], and `mask`, float [batch].
        frames: number of given frames; those after them in `video` are the targets.
    """

    def squared(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        predicted, extra = model(params, extra, batch, key, train)
        given, target = _unit(batch["video"][:, :frames]), _unit(batch["video"][:, frames:])
        shown = predicted if train else jnp.clip(predicted, 0, 1)
        mask, pixels = batch["mask"], target[0, 0].size
        error = _summed(shown - target)
        copied = _summed(given[:, -1:] - target)
        metrics = {
            "squared_error": mean(error, mask),
            "error_over_copy_last": Mean(
                (error.mean(1) * mask).sum(), (copied.mean(1) * mask).sum()
            ),
        }
        if not train:
            metrics["squared_error_of_copy_last"] = mean(copied, mask)
            metrics["squared_error_of_black"] = mean(_summed(target), mask)
        return Out(mean(_summed(predicted - target) / pixels, mask), metrics, extra)

    return squared


def _summed(difference: Array) -> Array:
    """Squares summed over each frame: [batch, time, h, w, c] -> [batch, time]."""
    return (difference**2).sum((2, 3, 4))


def evaluators(model: Model, splits: Splits, frames: int, clips: int = 200) -> list[Evaluator]:
    """Evaluates SSIM and PSNR of the first videos of each evaluated split, at the end.

    Metrics: `ssim` and `psnr` (dB) of predictions, and with the suffix `_of_copy_last` of copying
    the last given frame; means over frames and videos.

    Args:
        model, frames: as of `loss`.
        splits: the data.
        clips: number of videos; SSIM takes about a millisecond per frame.
    """
    sources: dict[str, Source | None] = {
        name: first(source, clips) for name, source in splits.evaluated().items()
    }

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        return {"predicted": _predicted(model, state.params, state.extra, batch["video"], frames)}

    def score(collected: Collected, split: str) -> dict[str, float]:
        source = sources[split]
        assert source is not None
        videos = source.gather(np.arange(len(source)))["video"]
        curves = by_frame(collected["predicted"], videos, frames)
        return {
            f"{name}{suffix}": float(curve.mean())
            for suffix, each in zip(("", "_of_copy_last"), curves, strict=True)
            for name, curve in each.items()
            if name != "squared_error"
        }

    names = ("ssim", "ssim_of_copy_last", "psnr", "psnr_of_copy_last")
    return [Scored(sources, collect, score, {name: METRICS[name] for name in names}, "end")]


def _predicted(model: Model, params: Params, extra: Extra, video: Array, frames: int) -> Array:
    """Predictions as uint8, of the given frames alone."""
    made = model(params, extra, {"video": video[:, :frames]}, None, False)[0]
    return jnp.rint(jnp.clip(made, 0, 1) * 255).astype(jnp.uint8)


def by_frame(
    predicted: np.ndarray, video: np.ndarray, frames: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Computes the metrics of each predicted frame, averaged over videos.

    Args:
        predicted: uint8 [n, frames out, h, w, c].
        video: uint8 [n, frames + frames out, h, w, c].
        frames: number of given frames.

    Returns:
        {"squared_error", "ssim", "psnr"}, [frames out] each: of the predictions, and of copying the
        last given frame.
    """
    target = video[:, frames:]
    copied = np.broadcast_to(video[:, frames - 1 : frames], target.shape)
    found = []
    for shown in (predicted, copied):
        a, b = (np.asarray(x, np.float32).reshape(-1, *x.shape[2:]) / 255 for x in (shown, target))
        error = ((a.astype(np.float64) - b) ** 2).reshape(len(a), -1)
        values = {
            "squared_error": error.sum(1),
            "ssim": ssim(a, b),
            "psnr": psnr_of_each(a, b, _SMALLEST),
        }
        found.append({name: x.reshape(target.shape[:2]).mean(0) for name, x in values.items()})
    return found[0], found[1]


def samples(
    model: Model, source: Source, frames: int, count: int = 4
) -> Callable[[State, Array], list[Sample]]:
    """Shows videos beside predictions and copies of the last frame, and the metrics by frame.

    Args:
        model, frames: as of `loss`.
        source: the videos.
        count: number of first videos that are shown; the metrics are of eight times as many.

    Returns:
        (state, key) -> samples: animations, and a plot for each metric; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        video = source.gather(np.arange(min(8 * count, len(source))))["video"]
        predict = lambda x: _predicted(model, state.params, state.extra, x, frames)  # noqa: E731
        predicted = over(predict, video, batch=16)
        clips, captions = [], []
        for true, made in zip(video[:count], predicted, strict=False):
            given = true[:frames]
            copied = np.repeat(given[-1:], len(made), 0)
            clips += [true, np.concatenate([given, made]), np.concatenate([given, copied])]
            captions += ["true", "predicted", "last frame copied"]
        title = f"Test videos: {frames} frames are given, {predicted.shape[1]} are predicted"
        network, copying = by_frame(predicted, video, frames)
        time = np.arange(1, predicted.shape[1] + 1)
        labels = {"squared_error": "squared error", "ssim": "SSIM", "psnr": "PSNR (dB)"}
        plots = [
            Plot(
                f"{label} by frame",
                "frames after the last given one",
                label,
                (Series("predicted", time, network[name]), Series("copied", time, copying[name])),
            )
            for name, label in labels.items()
        ]
        return [Animations(title, clips, tuple(captions)), *plots]

    return draw


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Flags of `dlcore predict` for a model of videos."""

    start: Annotated[int, Range(-1)] = -1
    """number of the first frame that is read; -1: the last frames of the video are read"""


@dataclasses.dataclass(frozen=True)
class VideoPredictor:
    """Predicts the frames that follow those of a user's animated image, or of a folder of frames.

    Attributes:
        model: computes predictions, see `loss`.
        facts: of the training data: the shape of the field `video`, and `frames_in`, the number of
            given frames.
        options: flags of `dlcore predict`.
    """

    model: Model
    facts: Facts
    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[tuple[np.ndarray, int]]:
        """Reads videos, resized to the training videos; see `item`.

        Raises:
            UsageError: a file is no video, or has too few frames.
        """
        return [self.item(videos.read(file, self._shape[1:3]), file.name) for file in files]

    def in_folder(self, folder: Path) -> list[Path]:
        """Lists the videos in a folder; the folder itself if its files are frames.

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
            uint8 [frames, h, w, c], and the index of the first given frame (`options.start`).

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
            ({"first_frame", "frames_read", "frames_predicted"}, the animation) of each; where the
            video has all frames that are predicted, also "squared_error" and
            "squared_error_of_copy_last", see `loss`.
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
        return jax.jit(lambda p, e, video: _predicted(self.model, p, e, video, given))


def predictor(model: Model, facts: Facts) -> VideoPredictor:
    """Returns the predictor of the next frames; `dlcore predict --out` writes animations.

    Args:
        model, facts: see `VideoPredictor`.
    """
    return VideoPredictor(model, facts)
