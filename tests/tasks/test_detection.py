"""Detection: perfect maps give the true objects; masks, augmentation, evaluators, predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.data.sets import detection as sets
from dlcore.errors import UsageError
from dlcore.kernels import detection as kernels
from dlcore.metrics.detection import (
    average_precision,
    best_threshold,
    matches,
    operating_point,
)
from dlcore.metrics.known import Metric
from dlcore.tasks import detection, detection_baseline, detection_evaluators
from dlcore.tasks.detection_augmentation import Augmentation
from dlcore.tasks.detection_predictor import DetectionOptions, predictor
from dlcore.tasks.detection_samples import samples
from dlcore.train.predictor import with_options, with_results
from dlcore.train.step import State

pytestmark = pytest.mark.slow

CANVAS, CLASSES, STRIDE = (48, 48), 10, 4
STATE = State(jnp.zeros((), jnp.int32), {}, {}, {})


@pytest.fixture(scope="module")
def splits() -> Any:
    return sets.load("bccd", "offline", CANVAS, 3, 3)


def perfect(flaw: float = 0.0, larger: float = 0.0) -> Any:
    """A network that is given the answers: the maps of a batch's true objects.

    `flaw` is subtracted from the logits of the middles, and `larger` added to the distances from a
    cell to the sides of its box.
    """

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        boxes, label = jnp.asarray(batch["boxes"]), jnp.asarray(batch["label"])
        shape = (CANVAS[1] // STRIDE, CANVAS[0] // STRIDE)
        heat = kernels.centre_heat(boxes, label, shape, STRIDE, CLASSES)
        target, _ = kernels.centre_boxes(boxes, shape, STRIDE)
        away = jnp.abs(kernels.boxes_of_distances(jnp.zeros_like(target), STRIDE) - target)
        logits = jnp.where(heat == 1, 8.0 - flaw, -8.0)
        return jnp.concatenate([logits, away + larger], -1), extra

    return model


def losses(flaw: float = 0.0, larger: float = 0.0) -> Any:
    """The loss of such a network, compiled."""
    return jax.jit(detection.loss(perfect(flaw, larger), CLASSES, STRIDE), static_argnums=4)


def test_perfect_maps_give_the_true_objects_and_no_loss(splits: Any) -> None:
    batch = {**splits.test.gather(np.arange(12)), "mask": np.ones(12, np.float32)}
    out = losses()({}, {}, batch, jax.random.key(0), False)
    assert float(out.loss.total / out.loss.weight) < 0.02
    assert float(out.metrics["giou"].total / out.metrics["giou"].weight) == pytest.approx(1)
    assert float(out.loss.weight) == batch["count"].sum()
    detect = detection.detections(perfect(), CLASSES, STRIDE)
    true, found = detection.objects(detect, STATE, splits.test)
    scores = average_precision(true, found, splits.facts.classes)
    assert scores["map"] == pytest.approx(1)


def test_boxes_that_are_too_large_cost_five_times_what_their_overlap_lacks(splits: Any) -> None:
    batch = {**splits.test.gather(np.arange(12)), "mask": np.ones(12, np.float32)}
    out = losses(larger=1.0)({}, {}, batch, jax.random.key(0), False)
    box, heat = out.metrics["box_loss"], out.metrics["heat_loss"]
    assert float(out.loss.total) == pytest.approx(float(heat.total + 5 * box.total), rel=1e-5)
    shape = (CANVAS[1] // STRIDE, CANVAS[0] // STRIDE)
    target, weight = map(np.asarray, kernels.centre_boxes(batch["boxes"], shape, STRIDE))
    width, height = target[..., 2] - target[..., 0], target[..., 3] - target[..., 1]
    # the larger box holds the true one: their IoU is the ratio of areas, and there is no gap
    lacks = 1 - width * height / ((width + 2) * (height + 2))
    assert float(box.total) == pytest.approx((lacks * weight).sum(), rel=1e-4)
    assert float(box.total) > 1


def test_the_loss_of_masked_examples_is_that_of_the_others(splits: Any) -> None:
    batch = {**splits.train.gather(np.arange(8)), "mask": np.array([1, 1, 0, 1, 0, 0, 1, 1.0])}
    loss = losses(9.0)
    masked = loss({}, {}, batch, jax.random.key(0), False)
    kept = np.flatnonzero(batch["mask"])
    sliced = {name: array[kept] for name, array in batch.items()}
    alone = loss({}, {}, sliced, jax.random.key(0), False)
    for name, expected in {"loss": alone.loss, **alone.metrics}.items():
        found = masked.loss if name == "loss" else masked.metrics[name]
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=name)


def test_an_image_without_objects_has_a_loss(splits: Any) -> None:
    batch = {**splits.train.gather(np.arange(2)), "mask": np.ones(2, np.float32)}
    batch["boxes"] = np.zeros_like(batch["boxes"])
    out = losses()({}, {}, batch, jax.random.key(0), False)
    assert float(out.loss.weight) == 2
    assert np.isfinite(float(out.loss.total))


@pytest.mark.nightly
def test_evaluators_take_the_threshold_of_validation(splits: Any) -> None:
    detect = detection.detections(perfect(7.0), CLASSES, STRIDE)
    often, last = detection_evaluators.evaluators(detect, splits)
    assert (often.every, last.every) == ("eval", "end")
    batch = {**splits.test.gather(np.arange(len(splits.test)))}
    batch["row"] = np.arange(len(splits.test))
    collected = collected_of(last, batch)
    assert often.score(STATE, collected, "test") == {"map_50": 1.0, "map": pytest.approx(1)}
    scores = last.score(STATE, collected, "test")
    assert scores.keys() <= last.metrics.keys()
    assert scores["f1"] == 1
    # all confidences are sigmoid(1), and all are right
    assert scores["threshold"] == pytest.approx(0.731 / 2, abs=1e-3)
    assert scores["calibration_error"] == pytest.approx(1 - 0.731, abs=1e-3)
    assert scores["ap_50_3"] == 1
    assert scores["baseline_map_50"] < 0.3
    constant = detection_baseline.constant(splits.train, CLASSES)
    true = detection.in_images(collected)[0]  # the images have the size of the canvas
    trivial = average_precision(true, [constant] * len(true), splits.facts.classes)
    held_out = splits.validation.gather(np.arange(len(splits.validation)))
    held_out["row"] = np.arange(len(splits.validation))
    chosen = detection.in_images(collected_of(last, held_out))[0]
    threshold = best_threshold(matches(chosen, [constant] * len(chosen)))
    point = operating_point(matches(true, [constant] * len(true)), threshold)._asdict()
    assert point.pop("threshold") == threshold
    assert 0 < point["f1"] < 0.5
    trivial |= point
    named = {name: value for name, value in scores.items() if name.startswith("baseline_")}
    assert named == {f"baseline_{name}": pytest.approx(trivial[name]) for name in trivial}
    declared = {name: last.metrics[f"baseline_{name}"] for name in point}
    assert declared == {name: Metric("higher", baseline_of=name) for name in point}
    assert {"baseline_map", "baseline_ap_50_3", "baseline_ap_3"} <= named.keys()


def test_the_baseline_is_the_same_for_images_of_any_size(splits: Any) -> None:
    """Images of twice the size, with boxes of twice the size, score as the others."""
    detect = detection.detections(perfect(), CLASSES, STRIDE)
    _, last = detection_evaluators.evaluators(detect, splits)
    batch = {**splits.test.gather(np.arange(20)), "row": np.arange(20)}
    same = collected_of(last, batch)
    expected = last._baseline(same, same)
    batch["scale"] = np.where(np.arange(20) % 2, 0.5, 1).astype(np.float32)
    sized = collected_of(last, batch)
    assert last._baseline(sized, sized) == expected
    assert expected["baseline_map_50"] > 0


def test_classes_have_metrics_of_their_own() -> None:
    """Also where cleaned names agree, or a class is called as another one's metric."""
    names = ["a b", "a_b", "a?b", "a_b_2", "cell", "50 cell", "40-60"]
    found = detection_evaluators.metric_names(names)
    assert found == ["a_b", "a_b_2", "a_b_3", "a_b_2_2", "cell", "50_cell_2", "40-60"]
    assert len({f"{kind}_{name}" for kind in ("ap", "ap_50") for name in found}) == 14


def collected_of(evaluator: Any, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in jax.jit(evaluator.collect)(STATE, batch).items()}


def test_augmented_boxes_stay_on_what_they_are_around(splits: Any) -> None:
    """Digits are brighter than the background: what is outside of all boxes stays dark."""
    train = sets.with_mosaics(splits).train
    batch = {**train.gather(np.arange(16)), "row": np.arange(16)}
    for mosaic in (0.0, 1.0):
        change = Augmentation(0.7, 1.5, mosaic=mosaic, mirror=True, colour=0.0, visible=0.0)
        changed = jax.jit(change)(batch, jax.random.key(4))
        image, boxes = (np.asarray(changed[name]) for name in ("image", "boxes"))
        assert image.shape == batch["image"].shape
        inside = np.zeros(image.shape[:3], bool)
        for i, each in enumerate(boxes):
            for left, top, right, bottom in each:
                if right > left:
                    rows = slice(int(top), int(np.ceil(bottom)))
                    inside[i, rows, int(left) : int(np.ceil(right))] = True
        bright = image.max(-1) > 150
        assert (bright & ~inside).sum() <= 0.03 * bright.sum()
        assert bright.sum() > 500
        there = (boxes[..., 2] > boxes[..., 0]).sum()
        assert there > 0.5 * batch["count"].sum()


def test_augmentation_of_a_row_does_not_depend_on_the_others(splits: Any) -> None:
    train = sets.with_mosaics(splits).train
    batch = {**train.gather(np.arange(8)), "row": np.arange(8)}
    change = jax.jit(Augmentation())
    together = change(batch, jax.random.key(1))
    alone = change({name: array[5:6] for name, array in batch.items()}, jax.random.key(1))
    for name in ("image", "boxes", "label"):
        np.testing.assert_allclose(together[name][5:6], alone[name], rtol=1e-5, atol=1e-3)


def answering(boxes: list[list[float]], confidence: list[float]) -> Any:
    """A detector that finds the same objects in each image."""

    def detect(params: Any, extra: Any, batch: Any) -> Any:
        n = len(batch["image"])
        found = jnp.array(boxes), jnp.array(confidence), jnp.arange(len(boxes))
        return detection.Detections(*(jnp.broadcast_to(x, (n, *x.shape)) for x in found))

    return detect


def test_predictions_are_in_pixels_of_the_file(tmp_path: Path) -> None:
    """A file of 120 x 60 on a canvas of 48 x 48 is drawn at 0.4 of its size."""
    Image.new("RGB", (120, 60), (10, 20, 30)).save(tmp_path / "cells.png")
    facts = Facts(classes=["cat", "dog"], canvas=[48, 48])
    detect = answering([[4, 2, 12, 10], [20, 4, 40, 20]], [0.5, 0.9])
    made = with_results(predictor(detect, facts), {"validation": {"threshold": 0.6}})
    items = made.items([tmp_path / "cells.png"], [])
    ((answer, sample),) = made.batch(STATE, items)
    assert answer["objects"] == [
        {
            "class": "dog",
            "confidence": 0.9,
            "box": {"left": 50.0, "top": 10.0, "right": 100.0, "bottom": 50.0},
        }
    ]
    assert (answer["width"], answer["height"], answer["threshold"]) == (120, 60, 0.6)
    assert answer["count"] == {"dog": 1}
    assert made.line(answer) == "1 dog"
    assert sample.images[0].shape == (60, 120, 3)
    assert sample.boxes[0][0].sides == pytest.approx((50, 10, 100, 50))
    both = with_options(made, DetectionOptions(threshold=0.5))
    ((answer, _),) = both.batch(STATE, [both.item(np.zeros((60, 120, 3), np.uint8))])
    assert [each["class"] for each in answer["objects"]] == ["dog", "cat"]


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    made = predictor(answering([[0, 0, 1, 1]], [1]), Facts(classes=["cat"], canvas=[48, 48]))
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(UsageError, match=r"a.png cannot be read as an image"):
        made.items([tmp_path / "a.png"], [])
    with pytest.raises(UsageError, match="name image files"):
        made.items([], ["a line"])
    with pytest.raises(UsageError, match="an image here is uint8"):
        made.item(np.zeros((4, 4)))


def test_samples_show_right_and_wrong_ones(splits: Any) -> None:
    detect = detection.detections(perfect(), CLASSES, STRIDE)
    right, by_class, curve, _ = samples("Scenes", detect, splits)(STATE, jax.random.key(0))
    assert all(right.right)
    assert right.captions[0].endswith("right, 0 wrong, 0 missed")
    assert sum(row[3] + row[4] for row in by_class.rows) == 0
    assert curve.title == "Scenes: precision at IoU 0.5"
    nothing = answering([[0, 0, 9, 9]], [0.9])
    shown, worst, table, *_ = samples("Scenes", nothing, splits)(STATE, jax.random.key(0))
    assert worst.title == "Scenes: the worst"
    assert not any(worst.right)
    kinds = {box.kind for boxes in shown.boxes for box in boxes}
    assert "missed" in kinds
    assert sum(row[1] for row in table.rows) == splits.test.arrays["count"].sum()
