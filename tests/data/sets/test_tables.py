"""Tables in folds: every example is held out once a repeat, and nothing of it reaches what judges
it.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from dlcore.data.sets import tables

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("make", [tables.breast_cancer, tables.diabetes])
def test_every_example_is_held_out_once_a_repeat(make: object) -> None:
    data = make(4, 3)  # type: ignore[operator]
    learns = data.source.arrays["learns"]
    assert learns.shape == (len(data.source), 12)
    held = (1 - learns).reshape(len(learns), 3, 4)
    np.testing.assert_array_equal(held.sum(2), 1)
    assert not np.array_equal(held[:, 0], held[:, 1]), "another repeat, other folds"
    sizes = held.sum(0)
    assert sizes.max() - sizes.min() <= 2
    assert sorted(np.concatenate(data.parts()[4:8]).tolist()) == list(range(len(learns)))


def test_folds_of_tumours_have_the_same_share_of_malignant_ones() -> None:
    data = tables.breast_cancer(5, 2)
    y = data.source.arrays["y"]
    # 212 malignant, 357 benign: the data set's own description
    assert (len(y), y.sum()) == (569, 212)
    shares = [y[part].mean() for part in data.parts()]
    np.testing.assert_allclose(shares, 212 / 569, atol=0.01)


def test_statistics_are_those_of_what_a_fold_learns_from() -> None:
    data = tables.diabetes(3, 2)
    x, y, learns = (
        np.asarray(data.source.arrays[name], np.float64) for name in ("x", "y", "learns")
    )
    for fold in range(6):
        inside = learns[:, fold] == 1
        np.testing.assert_allclose(data.centre[fold], x[inside].mean(0), rtol=1e-5)
        np.testing.assert_allclose(data.scale[fold], x[inside].std(0), rtol=1e-5)
        np.testing.assert_allclose(data.y_centre[fold], y[inside].mean(), rtol=1e-5)
        np.testing.assert_allclose(data.y_scale[fold], y[inside].std(), rtol=1e-5)
    assert len(np.unique(data.centre[:, 2])) == 6


def test_held_out_takes_each_prediction_from_the_network_that_has_not_seen_the_example() -> None:
    data = tables.diabetes(3, 2)
    own = np.arange(6)[:, None] + np.zeros(442)
    found = data.held_out(own)
    assert found.shape == (2, 442)
    for repeat in range(2):
        for example in (0, 17, 441):
            fold = int(found[repeat, example])
            assert fold // 3 == repeat
            assert example in data.parts()[fold]
    # A network's predictions for what it has learnt from are never looked at, whatever they are.
    own[data.source.arrays["learns"].T == 1] = np.nan
    np.testing.assert_array_equal(data.held_out(own), found)


def test_too_few_folds_are_refused() -> None:
    for folds, repeats in ((1, 3), (2, 0)):
        with pytest.raises(ValueError, match=f"{folds} folds and {repeats} repeats"):
            tables.diabetes(folds, repeats)
    assert len(tables.diabetes(2, 1).parts()) == 2


def test_folds_do_not_change() -> None:
    """Cards are of scikit-learn's folds for the seed 0: stratified for classes, plain for
    numbers.
    """
    for data, kind, load in (
        (tables.breast_cancer(3, 2), RepeatedStratifiedKFold, load_breast_cancer),
        (tables.diabetes(3, 2), RepeatedKFold, functools.partial(load_diabetes, scaled=False)),
    ):
        x, y = load(return_X_y=True)
        expected = [held for _, held in kind(n_splits=3, n_repeats=2, random_state=0).split(x, y)]
        for ours, theirs in zip(data.parts(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        arrays = data.source.arrays
        np.testing.assert_array_equal(arrays["x"], x.astype(np.float32))
        np.testing.assert_array_equal(arrays["y"], 1 - y if load is load_breast_cancer else y)
        parts = (*arrays.values(), data.centre, data.scale, data.y_centre, data.y_scale)
        assert {array.dtype.name for array in parts} == {"float32"}


def test_a_table_says_what_it_is() -> None:
    info = tables.diabetes(3, 2).source.info
    assert (info.name, info.version, info.split, info.examples) == (
        "diabetes",
        sklearn.__version__,
        "2 x 3 folds",
        442,
    )
    info = tables.breast_cancer(4, 1).source.info
    assert (info.name, info.version, info.split, info.examples) == (
        "breast_cancer",
        sklearn.__version__,
        "1 x 4 folds",
        569,
    )
