"""Samples of binary diagnoses: predictions, ROC curve, operating points, reliability, saliency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax import Array

from dlcore.analysis import features
from dlcore.data.splits import Splits
from dlcore.data.stream import in_order
from dlcore.metrics import diagnosis as metrics
from dlcore.samples import Plot, Sample, Series, Table, Text, evenly
from dlcore.tasks import class_probabilities, classification
from dlcore.tasks.diagnosis import SPECIFICITY, calibrated
from dlcore.tasks.reliability import diagram
from dlcore.train.model import Logits, Model
from dlcore.train.step import State


def samples(
    model: Logits, temperature: Model, splits: Splits
) -> Callable[[State, Array], list[Sample]]:
    """Shows predictions of the test split, operating points, reliability and saliency.

    Args:
        model: computes logits [batch, 2].
        temperature: divides them.
        splits: of `data.sets.diagnoses`; `facts.notice`, what the model may not be used for, is
            shown first.

    Returns:
        (state, key) -> samples. Thresholds of the operating points are chosen on validation;
        saliency is of the first 12 test images.
    """
    scaled, classes = calibrated(model, temperature), splits.facts.classes
    images = classification.samples("Test images", scaled, splits.test, classes, reliability=False)

    def draw(state: State, key: Array) -> list[Sample]:
        found = {
            split: class_probabilities.probabilities(scaled, state, splits[split])
            for split in ("validation", "test")
        }
        raw, _ = class_probabilities.probabilities(model, state, splits.test)
        first = next(in_order(splits.test, 12, np.arange(12)))
        return [
            Text("What this may not be used for", splits.facts.notice),
            *images(state, key),
            _roc(found["test"][0][:, 1], found["test"][1], classes),
            _operating(found, classes),
            _reliability(raw[:, 1], found["test"][0][:, 1], found["test"][1], classes),
            *features.saliency(scaled, state, first),
        ]

    return draw


def _roc(p: np.ndarray, true: np.ndarray, classes: Sequence[str]) -> Plot:
    from sklearn.metrics import roc_curve

    wrongly, rightly, _ = roc_curve(true, p)
    drawn, label = evenly(len(wrongly), f"network, AUC {metrics.auc(p, true):.3f}")
    line = np.array([0.0, 1.0])
    return Plot(
        f"Test: ROC curve of {classes[1]}",
        "1 - specificity",
        "sensitivity",
        (
            Series(label, wrongly[drawn], rightly[drawn]),
            Series("chance", line, line),
        ),
    )


def _operating(found: Mapping[str, tuple[np.ndarray, np.ndarray]], classes: Sequence[str]) -> Table:
    """Thresholds that are chosen on validation, and what they give on test."""
    p, true = found["validation"]
    chosen = {
        f"specificity {SPECIFICITY:.0%} on validation": metrics.at_specificity(
            p[:, 1], true, SPECIFICITY
        ).threshold,
        "probability 1/2": 0.5,
    }
    rows: list[tuple[str | float, ...]] = []
    for name, threshold in chosen.items():
        for split, (probability, label) in found.items():
            point = metrics.at_threshold(probability[:, 1], label, threshold)
            numbers = (threshold, point.sensitivity, point.specificity)
            rows.append((name, split, *(round(float(x), 3) for x in numbers)))
    head = ("threshold by", "split", f"probability of {classes[1]} from", "sensitivity")
    return Table("Operating points", (*head, "specificity"), tuple(rows))


def _reliability(
    before: np.ndarray, after: np.ndarray, true: np.ndarray, classes: Sequence[str]
) -> Plot:
    return diagram(
        "Test: reliability",
        f"predicted probability of {classes[1]}",
        f"observed fraction of {classes[1]}",
        {
            "before temperature scaling": (before, true),
            "after temperature scaling": (after, true),
        },
    )
