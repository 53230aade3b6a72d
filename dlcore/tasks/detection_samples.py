"""What a report shows of a detector: images with right, wrong and missed objects, and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.metrics import detection as metrics
from dlcore.metrics.detection import Matches, Objects
from dlcore.samples import Plot, Sample, Series, Table
from dlcore.samples.boxes import Box, Boxes
from dlcore.tasks.detection import Detect, objects
from dlcore.tasks.reliability import diagram
from dlcore.train.step import State

_POINTS = 400  # of a drawn curve


def samples(
    title: str, detect: Detect, splits: Splits, split: str = "test", count: int = 9
) -> Callable[[State, Array], list[Sample]]:
    """Shows images with their detections, the images with most errors, and counts by class.

    Detections are shown from a confidence threshold on, which is chosen on validation, or on
    `split` itself where there is no validation. They are right if they match an object of their
    class with an IoU of at least 0.5. Errors are wrong detections and missed objects.

    Args:
        title: heading that says what the examples are.
        detect: finds objects.
        splits: with the fact `classes`.
        split: which examples are shown.
        count: number of first images, and largest number of images with most errors.

    Returns:
        (state, key) -> samples: images with boxes; a table of counts, precision and recall by
        class; a curve of precision by recall, where recall is relative to the objects that are
        detected at any confidence; and the calibration of the confidences from the threshold on, if
        there are any. The key is not used.
    """

    def show(state: State, key: Array) -> list[Sample]:
        source, classes = splits[split], splits.facts.classes
        true, found = objects(detect, state, source)
        matched = metrics.matches(true, found)
        validation = splits.validation
        chosen = matched if validation is None else _matched(detect, state, validation)
        threshold = metrics.best_threshold(chosen)
        # what is below the threshold frees no object: matched again
        shown = [_above(each, threshold) for each in found]
        right = metrics.matches(true, shown)
        mistakes = _mistakes(right, true)
        worst = np.argsort(-mistakes, kind="stable")[:count]
        first = np.arange(min(count, len(true)))
        pictures = [
            _pictures(name, source, rows, true, shown, right, classes)
            for name, rows in ((title, first), (f"{title}: the worst", worst[mistakes[worst] > 0]))
            if len(rows)
        ]
        by_class = _by_class(f"{title}: by class", true, right, classes, threshold)
        return [*pictures, by_class, _curve(title, matched, classes), *_calibration(title, right)]

    return show


def _matched(detect: Detect, state: State, source: Source) -> Matches:
    return metrics.matches(*objects(detect, state, source))


def _above(found: Objects, threshold: float) -> Objects:
    kept = found.confidence >= threshold
    return Objects(*(array[kept] for array in found))


def _mistakes(matched: Matches, true: Sequence[Objects]) -> np.ndarray:
    """The number of wrong detections and missed objects of each image."""
    right, wrong = (
        np.bincount(matched.image[which], minlength=len(true))
        for which in (matched.correct, ~matched.correct)
    )
    return wrong + np.array([len(each.label) for each in true]) - right


def _pictures(
    title: str,
    source: Source,
    rows: np.ndarray,
    true: Sequence[Objects],
    found: Sequence[Objects],
    matched: Matches,
    classes: Sequence[str],
) -> Boxes:
    batch, drawn, captions, right = source.gather(rows), [], [], []
    for i, scale in zip(rows, batch["scale"], strict=True):
        of_image = matched.image == i
        correct = dict(zip(matched.index[of_image], matched.correct[of_image], strict=True))
        missed = _missed(true[i], found[i], correct)
        boxes = [
            Box(tuple(true[i].boxes[j] * scale), f"missed {classes[true[i].label[j]]}", "missed")
            for j in missed
        ]
        for j in np.argsort(found[i].confidence):
            name = f"{classes[found[i].label[j]]} {found[i].confidence[j]:.2f}"
            text = name if correct[j] else f"x {name}"
            sides = tuple(found[i].boxes[j] * scale)
            boxes.append(Box(sides, text, "right" if correct[j] else "wrong"))
        count = sum(map(bool, correct.values()))
        wrong = len(correct) - count
        drawn.append(boxes)
        captions.append(f"{count} right, {wrong} wrong, {len(missed)} missed")
        right.append(not wrong and not missed)
    return Boxes(title, list(batch["image"]), drawn, tuple(captions), tuple(right))


def _missed(true: Objects, found: Objects, correct: dict[int, bool]) -> list[int]:
    """Indices of the objects that no correct detection matches, by the rule of `matches`."""
    free, overlap = np.ones(len(true.label), bool), metrics.pairwise_iou(found.boxes, true.boxes)
    for i in np.argsort(-found.confidence, kind="stable"):
        if correct[int(i)]:
            free[np.where(free & (true.label == found.label[i]), overlap[i], -1).argmax()] = False
    return np.flatnonzero(free).tolist()


def _by_class(
    title: str,
    true: Sequence[Objects],
    matched: Matches,
    classes: Sequence[str],
    threshold: float,
) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for k, name in enumerate(classes):
        mine = matched.label == k
        total = sum(int((each.label == k).sum()) for each in true)
        right, count = int(matched.correct[mine].sum()), int(mine.sum())
        precision = right / count if count else float("nan")
        recall = right / total if total else float("nan")
        rows.append((name, total, right, count - right, total - right, *_digits(precision, recall)))
    heading = f"{title}, confidence at least {threshold:.3f}"
    header = ("class", "objects", "right", "wrong", "missed", "precision", "recall")
    return Table(heading, header, tuple(rows))


def _digits(*values: float) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values)


def _curve(title: str, matched: Matches, classes: Sequence[str]) -> Plot:
    """Precision by recall, all classes together and each by itself.

    Between detections the curves are interpolated: a plot with a point for each detection of a
    large set could not be shown.
    """
    lines, grid = [], np.linspace(0, 1, _POINTS)
    for name, mine in [("all", np.ones(len(matched.label), bool))] + [
        (name, matched.label == k) for k, name in enumerate(classes[:9])
    ]:
        right = np.cumsum(matched.correct[mine])
        count = np.arange(1, len(right) + 1)
        if len(right) and right[-1]:
            lines.append(Series(name, grid, np.interp(grid, right / right[-1], right / count)))
    x = "fraction of the objects found at all"
    return Plot(f"{title}: precision at IoU 0.5", x, "precision", tuple(lines))


def _calibration(title: str, shown: Matches) -> list[Plot]:
    if not len(shown.confidence):
        return []
    axes = "confidence", "fraction that is right"
    counted = {"detections shown": (shown.confidence, shown.correct)}
    return [diagram(f"{title}: calibration", *axes, counted)]
