"""Precision, recall and F1 of each class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer


class ClassScores(NamedTuple):
    """Scores of each class, arrays [classes]; 0 where a denominator is 0.

    Attributes:
        precision: fraction of the predictions of a class that are right.
        recall: fraction of the examples of a class that are found.
        f1: their harmonic mean.
        examples: number of examples of a class.
    """

    precision: Float[np.ndarray, " classes"]
    recall: Float[np.ndarray, " classes"]
    f1: Float[np.ndarray, " classes"]
    examples: Integer[np.ndarray, " classes"]


def class_scores(
    true: Integer[np.ndarray, " n"], predicted: Integer[np.ndarray, " n"], classes: int
) -> ClassScores:
    """Computes precision, recall and F1 of each class.

    Args:
        true, predicted: classes, int [n], from 0 to classes - 1.
        classes: number of classes.

    Returns:
        The scores of each class.
    """
    right = np.bincount(true[true == predicted], minlength=classes).astype(float)
    examples = np.bincount(true, minlength=classes)
    guesses = np.bincount(predicted, minlength=classes)
    precision, recall = right / np.maximum(guesses, 1), right / np.maximum(examples, 1)
    f1 = 2 * right / np.maximum(examples + guesses, 1)
    return ClassScores(precision, recall, f1, examples)
