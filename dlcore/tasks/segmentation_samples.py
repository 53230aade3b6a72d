"""Samples of segmentation: the best and the worst label maps, metrics by class, reliability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source, first
from dlcore.metrics import segmentation as metrics
from dlcore.samples import Plot, Sample, Table
from dlcore.samples.overlay import LabelMaps
from dlcore.tasks.reliability import diagram
from dlcore.tasks.segmentation import at_size, logits_of
from dlcore.train.batched import over_source
from dlcore.train.model import Logits
from dlcore.train.step import State


def samples(
    title: str, model: Logits, source: Source, classes: Sequence[str], count: int = 4
) -> Callable[[State, Array], list[Sample]]:
    """Shows images of highest and lowest mean IoU, the metrics of each class, and reliability.

    Args:
        title: what the examples are.
        model: computes logits [batch, height, width, classes].
        source: `image` and `label_map`. The first 100 examples are considered, with labels at the
            size of the logits, so that the numbers differ from the metrics of
            `segmentation.evaluators`. Images without a labelled pixel are not shown.
        classes: names of the classes.
        count: number of images of each kind.

    Returns:
        (state, key) -> the best images, the worst images, and over all considered examples a table,
        fraction of pixels, IoU and Dice of each class, and a reliability diagram of the labelled
        pixels. The key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        kept = predictions(model, state, source)
        image, true, predicted = kept["image"], kept["true"], kept["predicted"]
        pairs = zip(true, predicted, strict=True)
        counts = np.array([metrics.confusion(t, p, len(classes)) for t, p in pairs])
        score = np.array([metrics.overlap(c).miou if c.sum() else np.nan for c in counts])
        order = np.argsort(np.where(np.isnan(score), 2, score), kind="stable")
        order = order[: int((~np.isnan(score)).sum())]
        chosen = {"best": order[::-1][:count], "worst": order[:count]}
        result: list[Sample] = [
            LabelMaps(
                f"{title}: the {kind} by mean IoU",
                image[index],
                true[index],
                predicted[index],
                tuple(classes),
                tuple(f"mean IoU {score[i]:.2f}" for i in index),
            )
            for kind, index in chosen.items()
        ]
        which = f"{title}: {len(counts)} of {len(source)} at {true.shape[2]}x{true.shape[1]}"
        table = _by_class(which, counts.sum(0), classes)
        return [*result, table, _reliability(which, kept, classes)]

    return draw


def _reliability(title: str, kept: Mapping[str, np.ndarray], classes: Sequence[str]) -> Plot:
    valid = (kept["true"] >= 0) & (kept["true"] < len(classes))
    right = kept["true"][valid] == kept["predicted"][valid]
    axes = "probability of the predicted class", "fraction of right pixels"
    return diagram(f"{title}: reliability", *axes, {"pixels": (kept["confidence"][valid], right)})


def _by_class(title: str, confusion: np.ndarray, classes: Sequence[str]) -> Table:
    found = metrics.overlap(confusion)
    fraction = confusion.sum(1) / confusion.sum()
    numbers = np.round(np.stack([fraction, found.iou, found.dice], 1), 3).tolist()
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, a, b, c) for name, (a, b, c) in zip(classes, numbers, strict=True)
    )
    return Table(f"{title}, by class", ("class", "fraction of pixels", "IoU", "Dice"), rows)


def predictions(
    model: Logits, state: State, source: Source, most: int = 100, batch: int = 8
) -> dict[str, np.ndarray]:
    """Predicts the first examples of a source at the size of the logits.

    Args:
        model: computes logits [batch, height, width, classes].
        state: trained parameters.
        source: `image` and `label_map`.
        most: largest number of examples.
        batch: examples per batch.

    Returns:
        `image` uint8 [N, h, w, c], as in the source; `true` and `predicted`, int32, and
        `confidence`, the probability of the predicted class, float32, [N, height, width] of the
        logits' size; N is at most `most`.
    """

    def of_batch(rows: Mapping[str, np.ndarray]) -> Mapping[str, Array | np.ndarray]:
        logits = np.asarray(logits_of(model)(state.params, state.extra, rows))
        below = logits - logits.max(-1, keepdims=True)
        return {
            "image": rows["image"],
            "true": at_size(jnp.asarray(rows["label_map"]), (logits.shape[1], logits.shape[2])),
            "predicted": logits.argmax(-1).astype(np.int32),
            "confidence": 1 / np.exp(below).sum(-1),
        }

    return over_source(of_batch, first(source, most), min(batch, len(source)))
