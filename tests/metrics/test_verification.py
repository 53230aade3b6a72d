"""Verification: hand-worked error rates, and probabilities that keep their promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dlcore.metrics.calibration import reliability
from dlcore.metrics.verification import (
    balanced,
    fit_same_probability,
    pairs,
    roc,
    verification,
)

pytestmark = pytest.mark.quick


def test_error_rates_worked_by_hand() -> None:
    """Four equal and four different pairs, of which one each is on the wrong side."""
    similarity = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.3, 0.2, 0.1])
    same = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    found = verification(similarity, same)
    # at 0.6 one of four different pairs is accepted, and one of four equal ones rejected
    assert found.eer == pytest.approx(0.25)
    assert found.threshold == pytest.approx(0.6)
    # 15 of the 16 pairs of an equal and a different one are in order
    assert found.auc == pytest.approx(15 / 16)
    # three equal pairs come before any different one, and no other before the first of these
    assert found.tar_at_far_1 == pytest.approx(0.75)


def test_perfect_useless_and_inverted_similarities() -> None:
    same = np.arange(20) < 10
    perfect = verification(np.where(same, 0.9, 0.1), same)
    assert (perfect.eer, perfect.auc, perfect.tar_at_far_1) == (0, 1, 1)
    useless = verification(np.full(20, 0.3), same)
    assert (useless.eer, useless.auc) == (0.5, 0.5)
    assert useless.tar_at_far_1 == pytest.approx(0.01)
    assert verification(np.where(same, 0.1, 0.9), same).eer == 1
    with pytest.raises(ValueError, match="equal and different"):
        verification(np.ones(3), np.ones(3, bool))


def test_area_is_that_of_another_implementation_and_rates_meet_at_the_threshold() -> None:
    generator = np.random.default_rng(0)
    same = generator.random(5000) < 0.2
    similarity = generator.normal(np.where(same, 0.5, 0.0), 0.3)
    found = verification(similarity, same)
    assert found.auc == pytest.approx(roc_auc_score(same, similarity))
    accepted = similarity >= found.threshold
    assert accepted[~same].mean() == pytest.approx(found.eer, abs=2e-3)
    assert (~accepted[same]).mean() == pytest.approx(found.eer, abs=2e-3)
    false, true, _ = roc(similarity, same)
    assert np.interp(0.01, false, true) == found.tar_at_far_1


def test_pairs_are_cosines_and_each_occurs_once() -> None:
    embedding = np.array([[2.0, 0.0], [0.0, 3.0], [5.0, 0.0]])
    found = pairs(embedding, np.array([0, 1, 0]))
    assert [*zip(found.first, found.second, strict=True)] == [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(found.similarity, [0, 1, 0])
    assert found.same.tolist() == [False, True, False]


def test_equal_similarities_tell_nothing() -> None:
    same = np.arange(12) < 4
    fitted = fit_same_probability(np.zeros(12), same)
    assert fitted.threshold == 0
    np.testing.assert_allclose(fitted(np.zeros(3)), 0.5, atol=1e-6)
    assert verification(np.zeros(12), same).eer == 0.5


def test_probabilities_are_calibrated_where_both_kinds_are_as_frequent() -> None:
    """Though only one pair of ten is equal."""
    generator = np.random.default_rng(1)
    same = generator.random(20_000) < 0.1
    similarity = generator.normal(np.where(same, 0.6, 0.2), 0.2)
    fitted = fit_same_probability(similarity, same)
    assert fitted.threshold == pytest.approx(0.4, abs=0.01)
    assert fitted(np.array(fitted.threshold)) == pytest.approx(0.5)
    chosen = balanced(similarity, same)
    assert same[chosen].mean() == 0.5
    assert len(np.unique(chosen)) == len(chosen)
    assert reliability(fitted(similarity[chosen]), same[chosen]).error < 0.02
