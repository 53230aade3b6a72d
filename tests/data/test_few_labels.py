"""Few labels: of each class the same fraction, and the more contain the fewer."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import few_labels
from dlcore.data.sets import embedded
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def test_each_class_has_its_fraction_and_fractions_are_nested() -> None:
    label = np.repeat(np.arange(4), [100, 50, 200, 3])
    found = {fraction: few_labels.labelled(label, fraction) for fraction in (0.01, 0.1, 1.0)}
    assert np.bincount(label[found[0.1]]).tolist() == [10, 5, 20, 1]
    assert np.bincount(label[found[0.01]]).tolist() == [1, 1, 2, 1]
    assert {*found[0.01]} < {*found[0.1]} < {*found[1.0]}
    assert found[1.0].tolist() == [*range(len(label))]
    for fraction in (0.0, 1.1):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            few_labels.labelled(label, fraction)


def test_marks_are_those_of_the_smaller_set() -> None:
    splits = embedded.load("digits", "offline")
    marked = few_labels.with_few(splits, (0.01, 0.1))
    marks = marked.train.arrays["labelled"]
    index = few_labels.labelled(splits.train.arrays["label"], 0.1)
    np.testing.assert_array_equal(np.flatnonzero(marks[:, 1]), index)
    assert (marks[:, 0] <= marks[:, 1]).all()
    assert marked.test.arrays["labelled"].all()
    few = few_labels.only_few(splits, 0.1)
    np.testing.assert_array_equal(few.train.arrays["image"], splits.train.arrays["image"][index])
    assert few.train.info.fingerprint != splits.train.info.fingerprint
    assert few.test is splits.test
    assert few.facts.examples["train"] == len(index)
