"""Prediction of the next frames of a video, compared with copying the last given frame."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source, first
from dlcore.data.splits import Splits
from dlcore.kernels.augment import random_flip
from dlcore.metrics.images import psnr_of_each
from dlcore.metrics.known import Metric
from dlcore.metrics.structural import ssim
from dlcore.samples import Animations, Plot, Sample, Series
from dlcore.tasks.image_augmentation import Augment
from dlcore.tasks.image_inputs import to_unit
from dlcore.train.batched import over
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

METRICS = {
    "squared_error": Metric("lower"),
    "error_over_copy_last": Metric("lower"),
    "squared_error_of_copy_last": Metric(None, baseline_of="squared_error"),
    "squared_error_of_black": Metric(None, baseline_of="squared_error"),
    "ssim": Metric("higher"),
    "ssim_of_copy_last": Metric(None, baseline_of="ssim"),
    "psnr": Metric("higher", "dB"),
    "psnr_of_copy_last": Metric(None, "dB", "psnr"),
}
_SMALLEST = 1e-10  # of a mean squared error: equal images have 100 dB, and not infinitely many


def inputs(frames: int) -> Callable[[Batch, Array | None, bool], Array]:
    """Returns the `inputs` of a `Model`: the first frames of `video` as float32 in [0, 1].

    Args:
        frames: number of given frames.

    Returns:
        (batch, key, train) -> [batch, frames, h, w, c], float64 under `jax_enable_x64`.
    """
    return lambda batch, key, train: to_unit(batch["video"][:, :frames])


def augment(mirror: bool) -> Augment | None:
    """Returns an augmentation that mirrors videos, all frames of one alike; or None.

    Args:
        mirror: whether videos are mirrored left to right with probability 1/2; False: None is
            returned.
    """

    def mirrored(batch: Batch, key: Array) -> Batch:
        n, time, height, width, channels = batch["video"].shape
        # one image that has the frames of a video below each other
        stacked = batch["video"].reshape(n, time * height, width, channels)
        stacked = random_flip(key, batch["row"], stacked)
        return {**batch, "video": stacked.reshape(n, time, height, width, channels)}

    return mirrored if mirror else None


def loss(model: Model, frames: int) -> Loss:
    """Returns the mean squared error of the predicted pixels, for pixels in [0, 1].

    Metrics: `squared_error`, summed over the pixels of a frame and averaged over frames, as
    Moving MNIST is scored; `error_over_copy_last`, its ratio to that of predicting the last given
    frame; in evaluation also `squared_error_of_copy_last` and `squared_error_of_black`, of
    predicting black frames. In evaluation the metrics, and not the loss, are of predictions
    clipped to [0, 1].

    Args:
        model: computes predictions [batch, frames out, h, w, c] of a batch with `video`, uint8
            [batch, frames + frames out, h, w, c], and `mask`, float [batch].
        frames: number of given frames; those after them in `video` are the targets.
    """

    def squared(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        predicted, extra = model(params, extra, batch, key, train)
        given, target = to_unit(batch["video"][:, :frames]), to_unit(batch["video"][:, frames:])
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
        return {"predicted": predictions(model, state.params, state.extra, batch["video"], frames)}

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


def predictions(model: Model, params: Params, extra: Extra, video: Array, frames: int) -> Array:
    """Predicts the frames after the given ones, as 8-bit pixels.

    Args:
        model, frames: as of `loss`.
        params, extra: of all models.
        video: uint8 [batch, time, h, w, c] with time >= frames; frames after the first `frames`
            are ignored.

    Returns:
        uint8 [batch, frames out, h, w, c]: as many frames as the model predicts, clipped to the
        range of pixels and rounded.
    """
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
        Two mappings {"squared_error", "ssim", "psnr"}, [frames out] each: of the predictions, and
        of copying the last given frame. The squared error is summed over a frame's pixels in
        [0, 1]; PSNR is in dB.
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
    """Shows the best and the worst predictions beside their videos, and the metrics by frame.

    Args:
        model, frames: as of `loss`.
        source: the videos.
        count: number of videos that are shown, half of them the best and half the worst (at least
            1 each) by squared error, of the first 8 * count videos; these all enter the plots.

    Returns:
        (state, key) -> samples: animations, and a plot for each metric; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        video = source.gather(np.arange(min(8 * count, len(source))))["video"]
        predict = lambda x: predictions(model, state.params, state.extra, x, frames)  # noqa: E731
        predicted = over(predict, video, batch=16)
        order = np.argsort(squared_errors(predicted, video, frames), kind="stable")
        title = f"Test videos: {frames} frames are given, {predicted.shape[1]} are predicted"
        few = max(1, count // 2)
        clips = [
            _clips(f"{title}; the {kind} by squared error", predicted, video, frames, index)
            for kind, index in (("best", order[:few]), ("worst", order[::-1][:few]))
        ]
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
        return [*clips, *plots]

    return draw


def squared_errors(predicted: np.ndarray, video: np.ndarray, frames: int) -> np.ndarray:
    """Computes the squared error of each video, summed over pixels and averaged over frames.

    Args:
        predicted, video, frames: as of `by_frame`.

    Returns:
        float32 [n], for pixels in [0, 1].
    """
    error = predicted.astype(np.float32) / 255 - video[:, frames:].astype(np.float32) / 255
    return (error**2).sum((2, 3, 4)).mean(1)


def _clips(
    title: str, predicted: np.ndarray, video: np.ndarray, frames: int, index: np.ndarray
) -> Animations:
    """Some videos, each beside its prediction and the copied last frame."""
    error, clips, captions = squared_errors(predicted, video, frames), [], []
    for i in index:
        given, made = video[i, :frames], predicted[i]
        copied = np.repeat(given[-1:], len(made), 0)
        clips += [video[i], np.concatenate([given, made]), np.concatenate([given, copied])]
        captions += ["true", f"predicted, error {error[i]:.1f}", "last frame copied"]
    return Animations(title, clips, tuple(captions))
