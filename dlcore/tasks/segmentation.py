"""Semantic segmentation: a class for each pixel. Loss and metrics."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int32, Integer, Shaped

from dlcore.data.source import Arrays, Source
from dlcore.data.splits import Splits
from dlcore.kernels import pixels
from dlcore.metrics import segmentation as metrics
from dlcore.metrics.known import Metric
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

Weighting = Literal["none", "log", "sqrt"]
_BINS = 15  # of the calibration error
_HIGHER = Metric("higher")


def class_weights(class_pixels: Sequence[int], weighting: Weighting) -> tuple[float, ...]:
    """Computes weights of classes for the cross-entropy, larger for rare classes.

    Args:
        class_pixels: number of training pixels of each class.
        weighting: "none"; "log", 1 / ln(1.02 + f) for the fraction f of a class's pixels (Paszke et
            al. 2016, sec. 4); or "sqrt", the square root of median(f) / f (after Eigen & Fergus
            2015, sec. 6.1), over the classes with training pixels; the others have 1.
    """
    counts = np.asarray(class_pixels, np.float64)
    fraction = counts / counts.sum()
    if weighting == "log":
        return tuple((1 / np.log(1.02 + fraction)).tolist())
    if weighting == "sqrt":
        median = np.median(fraction[fraction > 0])
        return tuple(np.sqrt(np.where(fraction > 0, median / np.fmax(fraction, 1e-30), 1)).tolist())
    return (1.0,) * len(counts)


def at_size(
    labels: Integer[Array, "batch h w"], size: tuple[int, int]
) -> Int32[Array, "batch height width"]:
    """Reduces label maps by a whole factor k: takes element [k // 2, k // 2] of each k x k block.

    Args:
        labels: [batch, k height, k width]; k is the same for both axes.
        size: height and width of the result.

    Returns:
        int32 [batch, height, width].
    """
    k = labels.shape[1] // size[0]
    return labels[:, k // 2 :: k, k // 2 :: k].astype(jnp.int32)


def loss(model: Logits, weights: Sequence[float], dice: float = 0.0, lovasz: float = 0.0) -> Loss:
    """Returns the class-weighted cross-entropy of pixels, in nats, plus weighted region losses.

    Pixels with a label outside [0, classes) are ignored. The cross-entropy of an image is the mean
    over its other pixels, weighted by their true classes. The loss is a mean over images: each has
    the same weight, however many of its pixels are ignored; images of which all pixels are ignored
    are left out. Metric: `accuracy`, over all pixels that are not ignored, not weighted by class.

    Args:
        model: computes logits [batch, height, width, classes] of a batch with `label_map`, integers
            [batch, k height, k width], which `at_size` reduces, and `mask`, float [batch].
        weights: of the classes in the cross-entropy, one each; see `class_weights`.
        dice: factor of the soft Dice loss, which does not use `weights`; 0: none.
        lovasz: factor of the Lovász-softmax loss, which does not use `weights`; 0: none.
    """

    def of_batch(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        logits, extra = model(params, extra, batch, key, train)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        labels = at_size(batch["label_map"], (logits.shape[1], logits.shape[2]))
        weight = jnp.asarray(weights, logits.dtype)
        total = pixels.weighted_cross_entropy(logits, labels, weight).sum((1, 2))
        counted = pixels.pixel_weights(labels, weight).sum((1, 2))
        value = total / jnp.maximum(counted, 1e-30)
        if dice or lovasz:
            probability = jax.nn.softmax(logits)
            value += dice * pixels.dice_loss(probability, labels) if dice else 0
            value += lovasz * pixels.lovasz_softmax(probability, labels) if lovasz else 0
        rows = batch["mask"] * (counted > 0)
        valid = (labels >= 0) & (labels < logits.shape[-1])
        right = (logits.argmax(-1) == labels) & valid
        shares = batch["mask"] * valid.sum((1, 2))
        accuracy = right.sum((1, 2)) / jnp.maximum(valid.sum((1, 2)), 1)
        return Out(mean(value, rows), {"accuracy": mean(accuracy, shares)}, extra)

    return of_batch


def evaluators(model: Logits, splits: Splits) -> list[Evaluator]:
    """Evaluates intersection over union on validation and test, at the size of the label maps.

    Validation is scored at each evaluation, test at the end alone. Logits are resized bilinearly to
    the size of `label_map`. All pixels of a split are counted together: `miou`, `iou_CLASS` of each
    class that is true or predicted anywhere, `pixel_accuracy`, `class_accuracy` (mean recall of
    true classes), and `calibration_error`, the expected calibration error of the probability of the
    predicted class (Guo et al. 2017, eq. 3). At the end, on both splits, also the metrics of a
    baseline, which predicts the class that is most frequent in training at the same position of the
    image: their names begin with `baseline_`, and there is no calibration error of it.

    Args:
        model: computes logits [batch, height, width, classes].
        splits: with `label_map`, which may be larger than `image` by a whole factor, and the fact
            `classes`; train is `Arrays`, in memory.
    """
    classes = splits.facts.classes
    sources = {name: splits[name] for name in ("validation", "test")}

    def score(collected: Collected, split: str) -> dict[str, float]:
        found = metrics.overlap(collected["confusion"].astype(np.int64).sum(0))
        error = calibration_error(collected["bins"].astype(np.float64).sum(0))
        return {**scores(found, classes), "calibration_error": error}

    def baseline(collected: Collected, split: str) -> dict[str, float]:
        found = of_positions(splits.train, sources[split], len(classes))
        return {f"baseline_{name}": each for name, each in scores(found, classes).items()}

    names = ("miou", "pixel_accuracy", "class_accuracy", *(f"iou_{name}" for name in classes))
    known = {**dict.fromkeys(names, _HIGHER), "calibration_error": Metric("lower")}
    of_baseline = {f"baseline_{name}": Metric("higher", baseline_of=name) for name in names}
    return [
        Scored(sources, functools.partial(collect, model, len(classes)), score, known),
        Scored(dict.fromkeys(sources), lambda *_: {}, baseline, of_baseline, "end"),
    ]


def scores(found: metrics.Overlap, classes: Sequence[str]) -> dict[str, float]:
    """Names the metrics of a confusion matrix as `evaluators` does.

    Args:
        found: the metrics.
        classes: names of the classes.

    Returns:
        `miou`, `pixel_accuracy`, `class_accuracy`, and `iou_CLASS` of each class that is true or
        predicted somewhere.
    """
    by_class = {f"iou_{name}": each for name, each in zip(classes, found.iou, strict=True)}
    return {
        "miou": found.miou,
        "pixel_accuracy": found.pixel_accuracy,
        "class_accuracy": found.class_accuracy,
        **{name: float(each) for name, each in by_class.items() if np.isfinite(each)},
    }


def collect(model: Logits, classes: int, state: State, batch: Batch) -> Mapping[str, Array]:
    """Counts the pixels of each image by true and predicted class, and by confidence.

    Logits are resized bilinearly to the size of the label maps.

    Args:
        model: computes logits [batch, height, width, classes].
        classes: number of classes; pixels with another label are not counted.
        state: trained parameters.
        batch: with `label_map` [batch, k height, k width].

    Returns:
        `confusion` float32 [batch, classes, classes], rows are true classes; `bins` float32
        [batch, 15, 3], see `calibration_error`, by confidence in bins (low, high] of equal width.
    """
    labels = batch["label_map"].astype(jnp.int32)
    logits = model(state.params, state.extra, batch, None, False)[0].astype(jnp.float32)
    logits = jax.image.resize(logits, (*labels.shape, classes), "bilinear")
    logits = logits.reshape(len(labels), -1, classes)
    labels = labels.reshape(len(labels), -1)
    predicted = logits.argmax(-1)
    true = jax.nn.one_hot(labels, classes)
    confusion = jnp.einsum("bpt,bpg->btg", true, jax.nn.one_hot(predicted, classes))
    confidence = jnp.exp(logits.max(-1) - jax.nn.logsumexp(logits, -1))
    number = jnp.clip(jnp.ceil(confidence * _BINS) - 1, 0, _BINS - 1).astype(jnp.int32)
    valid = true.sum(-1)
    right = (predicted == labels).astype(jnp.float32)
    values = jnp.stack([valid, confidence * valid, right * valid], -1)
    in_bin = jax.nn.one_hot(number, _BINS)
    bins = jnp.einsum("bpn,bpv->bnv", in_bin, values, precision=jax.lax.Precision.HIGHEST)
    return {"confusion": confusion, "bins": bins}


def calibration_error(bins: Shaped[np.ndarray, "bins 3"]) -> float:
    """Computes the mean over pixels of |accuracy - confidence| of their bins.

    Args:
        bins: [bins, 3]: number of pixels, their summed confidence, and how many are right; at least
            one pixel.

    Source: Guo et al. 2017, eq. 3.
    """
    return float(np.abs(bins[:, 2] - bins[:, 1]).sum() / bins[:, 0].sum())


def of_positions(train: Arrays, source: Source, classes: int) -> metrics.Overlap:
    """Computes the metrics of a label map that is the same for every image; a baseline.

    At each position it has the class that is most frequent there in training.

    Args:
        train: in memory, with `label_map` [N, height, width].
        source: examples to score, with `label_map` [k height, k width].
        classes: number of classes.

    Returns:
        The metrics over all pixels of `source` together.
    """
    maps = train.arrays["label_map"]
    true = source.gather(np.arange(len(source)))["label_map"]
    counts = np.stack([(maps == number).sum(0) for number in range(classes)])
    k = true.shape[1] // maps.shape[1]
    guess = np.kron(counts.argmax(0), np.ones((k, k), int)).astype(np.uint8)
    total = np.zeros((classes, classes), np.int64)
    for each in true:
        total += metrics.confusion(each, guess, classes)
    return metrics.overlap(total)


# cached, since several seeds of one program call it one after the other with arrays of one shape
@functools.lru_cache(maxsize=1)
def logits_of(model: Logits) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], Array]:
    """Returns the compiled (params, extra, batch) -> logits, float32 [batch, h, w, classes]."""
    return jax.jit(
        lambda params, extra, batch: model(params, extra, batch, None, False)[0].astype(jnp.float32)
    )
