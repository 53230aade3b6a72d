"""Object detection with heat maps of centres: loss, detections and evaluators.

Batches have the fields of `dlcore.data.sets.detection.load`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.source import Source
from dlcore.data.splits import Splits, Unopened
from dlcore.data.stream import in_order
from dlcore.kernels import boxes as box_kernels
from dlcore.kernels import detection as kernels
from dlcore.metrics import detection as metrics
from dlcore.metrics.calibration import reliability
from dlcore.metrics.detection import Objects
from dlcore.metrics.known import Metric
from dlcore.tasks import detection_baseline
from dlcore.train.evaluators import Collected, Schedule
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

_CURVES = ("map_50", "map")  # metrics of each evaluation
_POINT = ("precision", "recall", "f1")  # of the detections above a threshold
BATCH = 16  # images that are detected at a time outside of training


class Detections(NamedTuple):
    """Detected objects of a batch of images; an entry with confidence 0 is no object.

    Attributes:
        boxes: left, top, right, bottom [batch, k, 4] in pixels of the canvas.
        confidence: [batch, k] in [0, 1], descending but for zeros, which may be anywhere.
        label: classes, int32 [batch, k].
    """

    boxes: Array
    confidence: Array
    label: Array


Detect = Callable[[Params, Extra, Any], Detections]
"""(params, extra, batch with `image` and `extent`) -> the detections in its images."""


def loss(model: Logits, classes: int, stride: int, box_weight: float = 5.0) -> Loss:
    """Returns the focal loss of the heat maps plus the generalised IoU loss of the boxes.

    Both are sums over the cells of a batch, divided by its number of objects; an image without
    objects counts as one object. In the box term the weights of an object's cells sum to 1
    (`kernels.detection.centre_boxes`). Metrics: `heat_loss`; `box_loss`, without its factor; and
    `giou`, the unweighted mean generalised IoU of the cells that have a box.

    Args:
        model: computes [batch, h, w, classes + 4]: logits of the heat maps, and distances from the
            cell's centre to the sides of the box in pixels, of a batch with the fields of
            `data.sets.detection.load` and `mask`, float [batch].
        classes: number of classes.
        stride: pixels of a cell along each axis.
        box_weight: factor of the box term.

    Source: CenterNet (Zhou et al. 2019), with the boxes of TTFNet (Liu et al. 2020).
    """

    def of_boxes(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("label", classes)
        shape, boxes = (y.shape[1], y.shape[2]), batch["boxes"].astype(y.dtype)
        heat = kernels.centre_heat(boxes, batch["label"], shape, stride, classes)
        focal = kernels.heat_loss(y[..., :classes], heat).sum((1, 2, 3))
        found = kernels.boxes_of_distances(y[..., classes:], stride)
        target, weight = kernels.centre_boxes(boxes, shape, stride)
        overlap = box_kernels.generalised_iou(found, target)
        box = ((1 - overlap) * weight).sum((1, 2))
        objects, mask = (box_kernels.area(boxes) > 0).sum(-1), batch["mask"]
        weights = (jnp.maximum(objects, 1) * mask).sum().astype(y.dtype)

        def each(x: Array) -> Mean:
            return Mean(mean(x, mask).total, weights)

        cells = mask[:, None, None] * (weight > 0)
        terms = {"heat_loss": each(focal), "box_loss": each(box), "giou": mean(overlap, cells)}
        return Out(each(focal + box_weight * box), terms, extra)

    return of_boxes


def detections(
    model: Logits, classes: int, stride: int, most: int = 100, overlap: float = 0.6
) -> Detect:
    """Returns the function that detects objects by a network with heat maps.

    A detection is a cell with the largest probability among its 3x3 neighbours, for each class; the
    `most` probable ones are kept, and duplicates of a class suppressed.

    Args:
        model, classes, stride: as of `loss`.
        most: largest number of detections of an image.
        overlap: IoU above which the less confident of two boxes of a class is a duplicate; its
            confidence becomes 0.

    Returns:
        (params, extra, batch with `image` and `extent`) -> `Detections`, boxes clipped to `extent`.
    """

    def detect(params: Params, extra: Extra, batch: Batch) -> Detections:
        y = model(params, extra, batch, None, False)[0]
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        heat = jax.nn.sigmoid(y[..., :classes])
        around = jax.lax.reduce_window(
            heat, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
        )
        peaks = jnp.where(heat >= around, heat, 0).reshape(len(heat), -1)
        confidence, index = jax.lax.top_k(peaks, min(most, peaks.shape[1]))
        boxes = kernels.boxes_of_distances(y[..., classes:], stride).reshape(len(heat), -1, 4)
        boxes = jnp.take_along_axis(boxes, (index // classes)[..., None], 1)
        extent = batch["extent"][:, None]
        boxes = jnp.clip(boxes, 0, jnp.concatenate([extent, extent], -1))
        label = (index % classes).astype(jnp.int32)
        confidence = jnp.where(box_kernels.area(boxes) > 0, confidence, 0)
        return Detections(boxes, box_kernels.suppress(boxes, confidence, label, overlap), label)

    return detect


# cached, since several seeds of one program call it one after the other with arrays of one shape
@functools.lru_cache(maxsize=1)
def compiled(detect: Detect) -> Detect:
    """Compiles a detector; the compiled function of the last one is kept."""
    return jax.jit(detect)


def objects(detect: Detect, state: State, source: Source) -> tuple[list[Objects], list[Objects]]:
    """Computes the true and the detected objects of all examples of a source.

    Args:
        detect: finds objects.
        state: trained parameters.
        source: see `dlcore.data.sets.detection.load`.

    Returns:
        True and detected objects of each image, in pixels of the original image.
    """
    return in_images(_collected(detect, state, source))


def _collected(detect: Detect, state: State, source: Source) -> Collected:
    """What `Detected.collect` computes, of all examples of a source."""
    batch, run, chunks = min(BATCH, len(source)), compiled(detect), []
    for rows in in_order(source, batch, np.arange(batch)):
        found = run(state.params, state.extra, rows)
        kept = rows["mask"] > 0
        collected = {**_truth(rows), **found._asdict()}
        chunks.append({name: np.asarray(array)[kept] for name, array in collected.items()})
    return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}


def in_images(collected: Collected) -> tuple[list[Objects], list[Objects]]:
    """Converts collected arrays to the true and the detected objects of each image.

    Args:
        collected: of `Detected.collect`, on the host: `true_boxes` [images, n, 4] and `true_label`
            [images, n], of which the first `count` [images] are objects; `scale` [images], pixels
            of the canvas per pixel of the image; and the fields of `Detections`.

    Returns:
        True and detected objects of each image, in its own pixels, without those of confidence 0.
    """
    true, found = [], []
    for i, scale in enumerate(collected["scale"].astype(np.float64)):
        count = int(collected["count"][i])
        boxes, label = collected["true_boxes"][i, :count], collected["true_label"][i, :count]
        true.append(Objects(boxes / scale, label, np.ones(count)))
        there = collected["confidence"][i] > 0
        parts = (collected[name][i][there] for name in ("boxes", "label", "confidence"))
        boxes, label, confidence = parts
        found.append(Objects(boxes / scale, label, confidence.astype(np.float64)))
    return true, found


def _truth(batch: Mapping[str, np.ndarray] | Batch) -> dict[str, np.ndarray | Array]:
    fields = {"true_boxes": "boxes", "true_label": "label", "count": "count", "scale": "scale"}
    return {name: batch[field] for name, field in fields.items()}


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
        return {**_truth(batch), **found._asdict()}  # type: ignore[dict-item]

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
            held_out = _collected(self.detect, state, self.splits.validation)
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
