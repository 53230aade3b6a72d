"""Scores of each class are scikit-learn's, with classes that nothing has or that nothing gets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from dlcore.metrics.classes import class_scores

pytestmark = pytest.mark.quick


def test_scores_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    for classes in (2, 5):
        true, predicted = draw.integers(0, classes, (2, 60))
        found = class_scores(true, predicted, classes)
        expected = precision_recall_fscore_support(true, predicted, labels=range(classes))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs)


def test_a_class_without_examples_or_predictions_has_0() -> None:
    found = class_scores(np.array([0, 0, 1]), np.array([0, 0, 0]), 3)
    np.testing.assert_allclose(found.precision, [2 / 3, 0, 0])
    np.testing.assert_allclose(found.recall, [1, 0, 0])
    np.testing.assert_allclose(found.f1, [0.8, 0, 0])
    assert found.examples.tolist() == [2, 1, 0]
