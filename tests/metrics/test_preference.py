"""Pairs of a right and a wrong answer: by enumeration, against scikit-learn, and the interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dlcore.metrics.preference import (
    clustered_mean_interval,
    pair_accuracy,
    pair_accuracy_interval,
)
from dlcore.metrics.text import distinct

pytestmark = pytest.mark.quick


def test_pairs_by_hand_and_by_scikit_learn() -> None:
    score, right = np.array([2.0, 1.0, 1.0, 0.0]), np.array([1, 1, 0, 0])
    assert pair_accuracy(score, right) == (1 + 1 + 0.5 + 1) / 4
    generator = np.random.default_rng(0)
    score, right = generator.integers(0, 9, 80) / 8, generator.integers(0, 2, 80)
    assert pair_accuracy(score, right) == pytest.approx(roc_auc_score(right, score))
    assert pair_accuracy(score, np.ones(80)) == 0.5


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(1), 0
    truth = 0.7602  # P(x > y) of normals whose means are 1 apart: Phi(1 / sqrt(2))
    for _ in range(60):
        right = np.arange(80) % 2
        score = generator.standard_normal(80) + right
        found = pair_accuracy_interval(score, right, np.arange(80), draws=200)
        assert found.low <= found.value <= found.high
        held += found.low <= truth <= found.high
    assert held >= 51


def test_the_interval_of_answers_is_that_of_their_dialogues_however_often_they_are_repeated() -> (
    None
):
    generator = np.random.default_rng(2)
    right = generator.integers(0, 2, 60)
    score, dialogue = generator.standard_normal(60) + right, np.arange(60) // 3
    alone = pair_accuracy_interval(score, right, dialogue)
    assert alone.low < alone.value < alone.high
    each = (score.repeat(4), right.repeat(4), dialogue.repeat(4) + 7)
    np.testing.assert_allclose(pair_accuracy_interval(*each), alone)
    # samples of right answers alone have no accuracy
    few = pair_accuracy_interval(np.array([2.0, 1.0]), np.array([1, 0]), np.arange(2))
    assert few == (1, 1, 1)
    whole = pair_accuracy_interval(np.array([2.0, 1.0]), np.array([1, 1]), np.arange(2))
    assert whole == (0.5, 0.5, 0.5)


def test_the_interval_of_a_difference_is_of_both_scores_in_the_same_samples() -> None:
    generator = np.random.default_rng(3)
    right = generator.integers(0, 2, 200)
    score, dialogue = generator.standard_normal(200) + right, np.arange(200) // 2
    same = pair_accuracy_interval(score, right, dialogue, minus=score)
    assert same == (0, 0, 0)
    better = score + 0.5 * right
    found = pair_accuracy_interval(better, right, dialogue, minus=score)
    alone = [pair_accuracy_interval(each, right, dialogue) for each in (better, score)]
    assert found.value == pytest.approx(alone[0].value - alone[1].value)
    assert found.low > 0  # though the intervals of both overlap
    assert alone[0].low < alone[1].high


def test_the_interval_of_clusters_is_that_of_their_means_however_often_they_are_repeated() -> None:
    value = np.arange(100) % 2
    alone = clustered_mean_interval(value, np.ones(100), np.arange(100))
    # the normal approximation of a fraction of 0.5
    assert alone.value == 0.5
    np.testing.assert_allclose(alone[1:], 0.5 + 1.96 * 0.05 * np.array([-1, 1]), atol=0.02)
    repeated = clustered_mean_interval(
        value.repeat(4), np.full(400, 0.25), np.arange(100).repeat(4)
    )
    np.testing.assert_allclose(repeated, alone)
    weighted = clustered_mean_interval(np.array([1, 0]), np.array([3, 1]), np.array([7, 7]))
    assert weighted == (0.75, 0.75, 0.75)
    # a sample of clusters without weight has no mean, and is not counted as 0
    sparse = clustered_mean_interval(np.ones(3), np.array([1, 0, 0]), np.arange(3))
    assert sparse == (1, 1, 1)


def test_distinct_n_grams_by_hand() -> None:
    texts = ["the cat the", "the cat", ""]
    assert distinct(texts, 1) == 2 / 5
    assert distinct(texts, 2) == 2 / 3
    assert distinct(texts, 4) == 0
