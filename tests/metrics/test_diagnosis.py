"""Operating points by hand, and temperatures that undo a scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dlcore.metrics.diagnosis import at_specificity, at_threshold, auc

pytestmark = pytest.mark.quick
P = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.6, 0.8, 0.9])
TRUE = np.array([0, 0, 0, 1, 0, 1, 1, 1])


def test_auc_is_the_fraction_of_pairs_in_order() -> None:
    pairs = [(a, b) for a in P[TRUE == 1] for b in P[TRUE == 0]]
    assert auc(P, TRUE) == pytest.approx(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))
    with pytest.raises(ValueError, match="with the condition"):
        auc(P, np.ones(8))


def test_operating_points_by_hand() -> None:
    # three of four without the condition are below 0.4, and three of four with it from 0.6 on
    assert at_threshold(P, TRUE, 0.4) == (0.4, 1.0, 0.75)
    assert at_threshold(P, TRUE, 0.6) == (0.6, 0.75, 0.75)
    assert at_specificity(P, TRUE, 0.75) == (0.4, 1.0, 0.75)
    assert at_specificity(P, TRUE, 0.95) == (0.8, 0.5, 1.0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2), st.floats(0, 1))
def test_the_operating_point_is_the_best_of_all(
    examples: list[tuple[int, bool]], specificity: float
) -> None:
    score, true = (np.array(each) for each in zip(*examples, strict=True))
    assume(true.any() and not true.all())
    found = [at_threshold(score, true, x) for x in [*np.unique(score), np.inf]]
    allowed = [each for each in found if each.specificity >= specificity]
    expected = max(allowed, key=lambda each: (each.sensitivity, each.specificity))
    assert at_specificity(score, true, specificity) == expected


def test_no_threshold_is_needed_where_nothing_separates() -> None:
    found = at_specificity(np.full(8, 0.5), TRUE, 0.95)
    assert found == (np.inf, 0.0, 1.0)
