"""Average precision against cases worked by hand, and matches against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.metrics import detection
from dlcore.metrics.detection import Objects

pytestmark = pytest.mark.quick


def objects(*rows: tuple[float, float, float, int, float]) -> Objects:
    """Squares: (left, top, side, class, confidence) each."""
    boxes = np.array([[x, y, x + side, y + side] for x, y, side, *_ in rows]).reshape(-1, 4)
    label, confidence = np.array([r[3] for r in rows], int), np.array([r[4] for r in rows], float)
    return Objects(boxes, label, confidence)


# Image 0 has two objects of class a, image 1 one of a and one of b, which is 40 pixels large.
TRUE = [
    objects((0, 0, 10, 0, 1), (50, 50, 10, 0, 1)),
    objects((0, 0, 10, 0, 1), (40, 0, 40, 1, 1)),
]
FOUND = [
    # right; a duplicate of it; an object of a that is called b
    objects((0, 0, 10, 0, 0.9), (1, 0, 10, 0, 0.8), (50, 50, 10, 1, 0.7)),
    # right with an IoU of 81 / 119; right and exact
    objects((1, 1, 10, 0, 0.6), (40, 0, 40, 1, 0.95)),
]


def test_average_precision_by_hand() -> None:
    """Of a: right, wrong, right with 3 objects: precision 1 up to a recall of 1/3, 2/3 up to 2/3.

    COCO reads it at the recalls 0, 0.01 to 1: 34 times 1 and 33 times 2/3. The IoU of the second
    is 0.68: above 0.65 only the first is right, 34 times 1. Of b: the right one comes first.
    """
    found = detection.average_precision(TRUE, FOUND, ("a", "b"))
    loose, strict = (34 + 33 * 2 / 3) / 101, 34 / 101
    assert found["ap_50_a"] == pytest.approx(loose)
    assert found["ap_50_b"] == pytest.approx(1)
    assert found["map_50"] == pytest.approx((loose + 1) / 2)
    assert found["map_75"] == pytest.approx((strict + 1) / 2)
    assert found["ap_a"] == pytest.approx((4 * loose + 6 * strict) / 10)
    assert found["map"] == pytest.approx((found["ap_a"] + 1) / 2)
    assert found["map_small"] == pytest.approx(found["ap_a"])
    assert found["map_medium"] == pytest.approx(1)
    assert "map_large" not in found  # there is none


def test_matches_and_the_threshold_by_hand() -> None:
    found = detection.matches(TRUE, FOUND)
    assert found.confidence.tolist() == [0.95, 0.9, 0.8, 0.7, 0.6]
    assert found.correct.tolist() == [True, True, False, False, True]
    assert found.image.tolist() == [1, 0, 0, 0, 1]
    assert found.index.tolist() == [1, 0, 1, 2, 0]
    assert found.objects == 4
    # F1 of the first 1 to 5: 2/5, 4/6, 4/7, 4/8, 6/9: of equal ones the higher threshold
    threshold = detection.best_threshold(found)
    assert threshold == pytest.approx(0.85)
    point = detection.operating_point(found, threshold)
    assert point == (threshold, 1.0, 0.5, pytest.approx(2 / 3))


def test_nothing_found_and_nothing_there() -> None:
    nothing = objects()
    found = detection.average_precision(TRUE, [nothing, nothing], ("a", "b"))
    assert found["map_50"] == 0
    assert "map_50" not in detection.average_precision([nothing], [FOUND[0]], ("a", "b"))
    with pytest.raises(ValueError, match="2 images have objects, and 1 detections"):
        detection.average_precision(TRUE, FOUND[:1], ("a", "b"))
    empty = detection.matches([nothing], [nothing])
    assert detection.best_threshold(empty) == 0.5
    assert detection.operating_point(empty, 0.5) == (0.5, 0, 0, 0)


def test_equal_confidences_count_together() -> None:
    true = [objects((0, 0, 10, 0, 1))]
    found = detection.matches(true, [objects((0, 0, 10, 0, 0.5), (30, 0, 10, 0, 0.5))])
    threshold = detection.best_threshold(found)
    assert detection.operating_point(found, threshold).f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_matches_are_those_of_pycocotools(seed: int) -> None:
    """The area under our precision-recall curve is its average precision."""
    random = np.random.default_rng(seed)
    true, found = [], []
    for _ in range(6):
        each = [(*random.integers(0, 60, 2), random.integers(8, 30), 0, 1) for _ in range(5)]
        true.append(objects(*each))  # type: ignore[arg-type]
        near = [
            (*(np.array(row[:2]) + random.integers(-6, 7, 2)), row[2], 0, random.random())
            for row in [*each, *each[:2]]
        ]
        found.append(objects(*near))  # type: ignore[arg-type]
    matched = detection.matches(true, found)
    right = np.cumsum(matched.correct)
    recall, precision = right / matched.objects, right / np.arange(1, len(right) + 1)
    read = [precision[recall >= r - 1e-12].max(initial=0) for r in np.linspace(0, 1, 101)]
    expected = detection.average_precision(true, found, ("a",))["map_50"]
    assert np.mean(read) == pytest.approx(expected, abs=1e-9)


def test_without_pycocotools_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'dlcore\[vision\]'"):
        detection.require()
