"""IoU and its relatives against scikit-learn, and the Data Science Bowl's score by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from dlcore.metrics.segmentation import (
    average_precision,
    confusion,
    instance_overlap,
    matches,
    overlap,
)

pytestmark = pytest.mark.quick


def test_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    true, predicted = generator.integers(0, 4, (2, 3, 8, 9))
    counts = confusion(true, predicted, 4)
    np.testing.assert_array_equal(counts, confusion_matrix(true.ravel(), predicted.ravel()))
    found = overlap(counts)
    flat = true.ravel(), predicted.ravel()
    np.testing.assert_allclose(found.iou, jaccard_score(*flat, average=None))
    np.testing.assert_allclose(found.dice, f1_score(*flat, average=None))
    assert found.miou == pytest.approx(jaccard_score(*flat, average="macro"))
    assert found.pixel_accuracy == pytest.approx((true == predicted).mean())


def test_ignored_pixels_and_classes_that_do_not_occur() -> None:
    """Classes 0 and 1 of three; a pixel of no class is predicted as 2, which does not count."""
    true, predicted = np.array([0, 0, 1, 1, 255]), np.array([0, 1, 1, 1, 2])
    found = overlap(confusion(true, predicted, 3))
    np.testing.assert_allclose(found.iou, [1 / 2, 2 / 3, np.nan])
    assert found.miou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.class_accuracy == pytest.approx((1 / 2 + 1) / 2)
    with pytest.raises(ValueError, match="needs pixels"):
        overlap(np.zeros((3, 3)))


TRUE = np.zeros((10, 10), int)
TRUE[:4, :5] = 7  # 20 pixels
TRUE[6:, :5] = 2  # 20 pixels
GUESS = np.zeros((10, 10), int)
GUESS[:4, :4] = 1  # IoU 16 / 20 with the first
GUESS[6:8, :5] = 2  # IoU 10 / 20 with the second
GUESS[9, 9] = 3


def test_score_by_hand() -> None:
    np.testing.assert_allclose(
        instance_overlap(TRUE, GUESS), [[0, 0.5, 0], [0.8, 0, 0]]
    )  # by number: 2, then 7
    found = matches(TRUE, GUESS)
    # 0.8 exceeds 0.5 to 0.75; 0.5 exceeds nothing
    np.testing.assert_array_equal(found.found, [1] * 6 + [0] * 4)
    np.testing.assert_array_equal(found.extra, [2] * 6 + [3] * 4)
    np.testing.assert_array_equal(found.missed, [1] * 6 + [2] * 4)
    assert average_precision(TRUE, GUESS) == pytest.approx(6 / 10 * 1 / 4)


def test_right_empty_and_renumbered_instances() -> None:
    none = np.zeros((10, 10), int)
    assert average_precision(TRUE, TRUE) == 1
    assert average_precision(TRUE, (TRUE > 0) * (TRUE + 40)) == 1
    assert average_precision(none, none) == 1
    assert average_precision(TRUE, none) == average_precision(none, TRUE) == 0
    with pytest.raises(ValueError, match=r"thresholds from 0\.5"):
        matches(TRUE, GUESS, (0.4,))


def test_an_instance_has_one_match_above_a_half() -> None:
    """As a check of every pair: the best assignment finds no more."""
    from scipy.optimize import linear_sum_assignment

    generator = np.random.default_rng(1)
    true = np.repeat(np.repeat(generator.integers(0, 9, (5, 5)), 4, 0), 4, 1)
    guess = np.where(generator.uniform(size=true.shape) < 0.2, 0, np.roll(true, 1, 0))
    iou = instance_overlap(true, guess)
    for threshold, found in zip((0.5, 0.7), matches(true, guess, (0.5, 0.7)).found, strict=True):
        rows, columns = linear_sum_assignment(-(iou > threshold).astype(float))
        assert found == (iou > threshold)[rows, columns].sum()
