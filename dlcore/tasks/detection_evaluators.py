"""Evaluators of object detection: average precision, an operating point, and a baseline.

Batches have the fields of `dlcore.data.sets.detection.load`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.splits import Splits, Unopened
from dlcore.metrics import detection as metrics
from dlcore.metrics.calibration import reliability
from dlcore.metrics.detection import Objects
from dlcore.metrics.known import Metric
from dlcore.tasks import detection, detection_baseline
from dlcore.tasks.detection import Detect, in_images, truth
from dlcore.train.evaluators import Collected, Schedule
from dlcore.train.step import Batch, State

_CURVES = ("map_50", "map")  # metrics of each evaluation
_POINT = ("precision", "recall", "f1")  # of the detections above a threshold


@dataclasses.dataclass(frozen=True, eq=False)
class Detected:
    """Evaluates detections on the scored splits, see `evaluators`.

    Attributes:
        detect: finds objects.
        splits: the data.
        detailed: whether the metrics of the final state are computed, instead of those of each
            evaluation.
    """

    detect: Detect
    splits: Splits
    detailed: bool

    @property
    def every(self) -> Schedule:
        """The schedule: "end" for the detailed metrics, else "eval"."""
        return "end" if self.detailed else "eval"

    @property
    def sources(self) -> Mapping[str, Source | None]:
        """{split: examples} of the scored splits."""
        return dict(self.splits.evaluated())

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Direction of each metric."""
        if not self.detailed:
            return dict.fromkeys(_CURVES, Metric("higher"))
        names = ["map_75", *(f"map_{size}" for size in metrics.SIZES)]
        names += [f"{kind}_{name}" for kind in ("ap_50", "ap") for name in self._classes]
        names += _POINT
        both = (*_CURVES, *names)
        higher = dict.fromkeys(names, Metric("higher"))
        higher |= {f"baseline_{name}": Metric("higher", baseline_of=name) for name in both}
        return {**higher, "threshold": Metric(None), "calibration_error": Metric("lower")}

    @property
    def _classes(self) -> Sequence[str]:
        return metric_names(self.splits.facts.classes)

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Computes the detections of a batch.

        Returns:
            The fields of `Detections`, and the true objects of the batch: `true_boxes`,
            `true_label`, `count` and `scale`, see `in_images`.
        """
        found = self.detect(state.params, state.extra, batch)
        return {**truth(batch), **found._asdict()}  # type: ignore[dict-item]

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """Computes the metrics of a split, see `evaluators`.

        With `detailed` the confidence thresholds, of the detector and of the baseline, are chosen
        on validation, whose objects are detected again when another split is scored; without
        validation they are chosen on the split itself.
        """
        true, found = in_images(collected)
        scores = metrics.average_precision(true, found, self._classes)
        if not self.detailed:
            return {name: scores[name] for name in _CURVES if name in scores}
        held_out = collected
        if split != "validation" and self.splits.validation is not None:
            held_out = detection.collected(self.detect, state, self.splits.validation)
        matched = metrics.matches(true, found)
        chosen = matched if held_out is collected else metrics.matches(*in_images(held_out))
        point = metrics.operating_point(matched, metrics.best_threshold(chosen))
        shown = matched.confidence >= point.threshold
        scores = {name: value for name, value in scores.items() if name not in _CURVES}
        scores |= point._asdict() | self._baseline(collected, held_out)
        if shown.any():
            curve = reliability(matched.confidence[shown], matched.correct[shown])
            scores["calibration_error"] = curve.error
        return scores

    def _baseline(self, collected: Collected, held_out: Collected) -> dict[str, float]:
        """The baseline's metrics; its threshold is chosen on `held_out`."""
        true, same = self._answered(collected)
        scores = metrics.average_precision(true, same, self._classes)
        matched = chosen = metrics.matches(true, same)
        if held_out is not collected:
            chosen = metrics.matches(*self._answered(held_out))
        point = metrics.operating_point(matched, metrics.best_threshold(chosen))
        scores |= {name: getattr(point, name) for name in _POINT}
        return {f"baseline_{name}": value for name, value in scores.items()}

    def _answered(self, collected: Collected) -> tuple[list[Objects], list[Objects]]:
        """The true objects of each image, and the baseline's, in its own pixels."""
        constant, scale = self._constant, collected["scale"].astype(np.float64)
        same = [constant._replace(boxes=constant.boxes / each) for each in scale]
        return in_images(collected)[0], same

    @functools.cached_property
    def _constant(self) -> Objects:
        return detection_baseline.constant(self.splits.train, len(self._classes))


def metric_names(classes: Sequence[str]) -> list[str]:
    """Returns the names of classes in names of metrics, such as `ap_CLASS`; all of them differ.

    Each run of characters other than letters, digits, "_" and "-" becomes "_". Where a metric of a
    class before has the name already, "_2", "_3" and so on is added.

    Args:
        classes: names of the classes.
    """
    names: list[str] = []
    taken: set[str] = set()
    for each in classes:
        name = plain = re.sub(r"[^\w-]+", "_", each)
        number = 1
        while not taken.isdisjoint(used := {f"ap_{name}", f"ap_50_{name}"}):
            number += 1
            name = f"{plain}_{number}"
        taken |= used
        names.append(name)
    return names


def evaluators(detect: Detect, splits: Splits) -> list[Detected]:
    """Evaluates a detector on the scored splits, in pixels of the original images.

    At each evaluation (of "test" at the end alone): `map_50` and `map` (IoU 0.5 to 0.95), as
    pycocotools computes them. Of the final state also: `map_75`; `map_SIZE`; `ap_CLASS`,
    `ap_50_CLASS`; `threshold`, the confidence with the largest F1 on validation, and `precision`,
    `recall` and `f1` at IoU 0.5 of the detections with at least this confidence;
    `calibration_error`, the expected calibration error of their confidences (Guo et al. 2017); and
    with `baseline_` in front the average precisions of a baseline that answers every image with the
    same boxes (`detection_baseline.constant`), and `precision`, `recall` and `f1` of those boxes
    with at least the confidence that has their largest F1 on validation. SIZE is one of
    `metrics.detection.SIZES`, CLASS one of `metric_names`; sizes and classes without true objects
    have no metrics. Without a detection of at least `threshold` there is no `calibration_error`.

    Args:
        detect: finds objects.
        splits: with the fact `classes`.

    Raises:
        UsageError: pycocotools is missing; without data (`data.splits.Unopened`) it is not needed.
    """
    if not isinstance(getattr(splits.train, "source", splits.train), Unopened):
        metrics.require()
    return [Detected(detect, splits, detailed) for detailed in (False, True)]
