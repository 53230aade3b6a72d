"""Instances drawn into their images, the true ones beside the predicted, and reliability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.data.stream import in_order
from dlcore.metrics import segmentation as metrics
from dlcore.samples import Images, Sample, Text
from dlcore.samples.overlay import outlined
from dlcore.tasks.instances import found_in, matched, probabilities, true_instances
from dlcore.tasks.reliability import diagram
from dlcore.train.model import Logits
from dlcore.train.step import State

TRUE, FOUND = (60, 220, 60), (255, 150, 0)  # colours of outlines


def samples(
    title: str, model: Logits, splits: Splits, smallest: int, count: int = 4
) -> Callable[[State, Array], list[Sample]]:
    """Shows images of highest and of lowest average precision with outlines, and reliability.

    Args:
        title: what the images are.
        model: computes logits [batch, height, width, 3].
        splits: of `data.sets.instances`, whose test images are shown; before them `facts.notice`,
            what the model may not be used for.
        smallest: instances of fewer pixels are left out.
        count: number of images of each kind.

    Returns:
        (state, key) -> samples; true outlines are green, predicted ones orange. The key is not
        used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        source = splits.test
        rows = dict(source.gather(np.arange(len(source))))
        true = true_instances(rows)
        found, confidence = predictions(model, state, source, smallest)
        pairs = zip(true, found, strict=True)
        score = np.array([metrics.average_precision(t, f) for t, f in pairs])
        order = np.argsort(score, kind="stable")
        shown: list[Sample] = [
            _outlines(
                f"{title}: {kind} average precision", rows["image"], true, found, score, index
            )
            for kind, index in (("highest", order[::-1][:count]), ("lowest", order[:count]))
        ]
        p = np.concatenate(confidence)
        if len(p):
            name = f"{title}: reliability of the confidence"
            axes = "confidence of an instance", "fraction with an IoU above 0.5"
            counted = {"instances": (p, matched(true, found))}
            shown.append(diagram(name, *axes, counted))
        return [Text("What this may not be used for", splits.facts.notice), *shown]

    return draw


def _outlines(
    title: str,
    images: np.ndarray,
    true: list[np.ndarray],
    found: list[np.ndarray],
    score: np.ndarray,
    index: np.ndarray,
) -> Images:
    shown: list[np.ndarray] = []
    captions: list[str] = []
    for i in index:
        height, width = true[i].shape
        bright = brightened(images[i])
        for each, colour in ((true[i], TRUE), (found[i], FOUND)):
            # all pictures of a sample have one size
            framed = np.zeros((*images.shape[1:3], 3), np.uint8)
            framed[:height, :width] = outlined(bright[:height, :width], each, colour)
            shown.append(framed)
        captions += [f"true: {true[i].max()}", f"found: {found[i].max()}, precision {score[i]:.2f}"]
    return Images(title, np.stack(shown), tuple(captions), columns=4)


def brightened(image: np.ndarray) -> np.ndarray:
    """Scales an image, uint8 of any shape, so that its 99.9th percentile becomes white."""
    top = max(1.0, float(np.percentile(image, 99.9)))
    return np.clip(image.astype(np.float32) * (255 / top), 0, 255).astype(np.uint8)


def predictions(
    model: Logits, state: State, source: Source, smallest: int, batch: int = 4
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predicts the instances of each image of a source, and their confidences; see `found_in`.

    Args:
        model: computes logits [batch, height, width, 3].
        state: trained parameters.
        source: the images, with `size`.
        smallest: instances of fewer pixels are left out.
        batch: images per batch.

    Returns:
        For each image its instances, int32 [height, width] at its own size as of `separated`, and
        their confidences in [0, 1], float64 [instances], as of `confidences`.
    """
    batch = min(batch, len(source))
    found: list[np.ndarray] = []
    confidence: list[np.ndarray] = []
    for rows in in_order(source, batch, np.arange(batch)):
        counted = rows["mask"] > 0
        probability = probabilities(model, state, rows)[counted]
        instances, each = found_in(probability, rows["size"][counted], smallest)
        found, confidence = found + instances, confidence + each
    return found, confidence
