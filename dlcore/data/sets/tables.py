"""scikit-learn's small tables: cut into folds, where every example says which networks may learn
from it, or as rows with a target, as files of one's own are.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from dlcore.data.facts import Facts
from dlcore.data.own import tables as own
from dlcore.data.own.cells import Cells
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

CLASSES = ("benign", "malignant")
_STATISTICS = ("centre", "scale", "y_centre", "y_scale")


@dataclasses.dataclass(frozen=True)
class Folds:
    """A table for cross-validation, all folds at once.

    source       `x` float32 [N, features], `y` float32 [N], `learns` float32 [N, folds]: 1 where a
                 fold's network may learn from
                 the example, 0 where it is judged by it; folds of one repeat stand side by side
    centre, scale              [folds, features]: mean and deviation of x over what each fold learns
                               from, and of nothing else
    y_centre, y_scale          [folds]: the same of y
    """

    source: Arrays
    repeats: int
    centre: np.ndarray
    scale: np.ndarray
    y_centre: np.ndarray
    y_scale: np.ndarray

    def held_out(
        self, predicted: Float[np.ndarray, "networks n"]
    ) -> Float[np.ndarray, "repeats n"]:
        """From predictions [folds, N] of every network for every example, those of the networks
        that never saw it: [repeats, N].
        """
        unseen = self.source.arrays["learns"].T == 0
        return np.where(unseen, predicted, 0).reshape(self.repeats, -1, len(self.source)).sum(1)

    def parts(self) -> list[Integer[np.ndarray, " _"]]:
        """The examples that each fold is judged by."""
        return [np.flatnonzero(column == 0) for column in self.source.arrays["learns"].T]


def breast_cancer(folds: int, repeats: int) -> Folds:
    """The Wisconsin diagnostic set: 569 tumours, 30 measurements of cell nuclei; y is 1 for a
    malignant one. Folds are stratified.
    """
    from sklearn.datasets import load_breast_cancer

    x, benign = load_breast_cancer(return_X_y=True)
    return _cut("breast_cancer", x, 1 - benign, folds, repeats, stratified=True)


def diabetes(folds: int, repeats: int) -> Folds:
    """442 patients, 10 measurements; y says how far diabetes has gone a year later (25 to 346)."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return _cut("diabetes", x, y, folds, repeats, stratified=False)


def rows(source: DataSource, target: str, task: own.Task = "auto") -> Splits:
    """A table as splits of rows: the tumours of `breast_cancer`, or a file of one's own.

    Args:
        source: published and offline: the tumours, whose columns are scikit-learn's names of the
            measurements and `diagnosis`; a path: see `dlcore.data.own.tables.load`.
        target, task: see `dlcore.data.own.tables.splits_of`.

    Raises:
        UsageError: anything that is wrong with the table.
    """
    if isinstance(source, Path):
        return own.load(source, target, task)
    is_offline("breast_cancer", source)
    import sklearn
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    cells = [
        (*map(repr, row), CLASSES[1 - benign])
        for row, benign in zip(found.data.tolist(), found.target.tolist(), strict=True)
    ]
    where = [f"breast_cancer, row {number}" for number in range(1, len(cells) + 1)]
    table = Cells("breast_cancer", (*map(str, found.feature_names), "diagnosis"), cells, where)
    return own.splits_of(table, target, task, "breast_cancer", sklearn.__version__)


def load(name: str, source: DataSource, folds: int, repeats: int) -> Splits:
    """A table for cross-validation as splits: all examples are for training and test, by fold.

    Args:
        name: breast_cancer or diabetes.
        source: they come with a dependency: published and offline are the same.
        folds, repeats: of the cross-validation.

    Returns:
        Splits whose `learns` says which networks learn from an example (`Folds`); `facts` has
        `repeats` and the statistics of each fold, which `folds_of` reads, `features`, the names of
        the columns, and `classes`.

    Raises:
        UsageError: another name, or files of one's own.
    """
    is_offline(name, source)
    sets = {"breast_cancer": breast_cancer, "diabetes": diabetes}
    if name not in sets:
        raise UsageError(f"{name!r} is no table: choose {' or '.join(sets)}")
    found = sets[name](folds, repeats)
    facts = Facts(
        {each: getattr(found, each).tolist() for each in _STATISTICS},
        repeats=repeats,
        folds=folds,
        classes=CLASSES if name == "breast_cancer" else [],
        features=_features(name),
    )
    return Splits(found.source, test=found.source, facts=facts, scored=("test",))


def _features(name: str) -> list[str]:
    """scikit-learn's names of the columns of a table."""
    from sklearn.datasets import load_breast_cancer, load_diabetes

    found = load_breast_cancer() if name == "breast_cancer" else load_diabetes()
    return [str(feature) for feature in found.feature_names]


def folds_of(splits: Splits) -> Folds:
    """The folds of splits that `load` made, their statistics from the facts, with the same bits."""
    statistics = {name: np.array(splits.facts[name], np.float32) for name in _STATISTICS}
    return Folds(splits.train, splits.facts.repeats, **statistics)


def _cut(
    name: str, x: np.ndarray, y: np.ndarray, folds: int, repeats: int, *, stratified: bool
) -> Folds:
    import sklearn
    from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

    if folds < 2 or repeats < 1:
        raise ValueError(
            f"{folds} folds and {repeats} repeats: cross-validation needs two folds and one repeat"
            " at least"
        )
    kind = RepeatedStratifiedKFold if stratified else RepeatedKFold
    split = kind(n_splits=folds, n_repeats=repeats, random_state=0)
    learns = np.zeros((len(x), folds * repeats), np.float32)
    for fold, (inside, _) in enumerate(split.split(x, y)):
        learns[inside, fold] = 1
    seen = [column == 1 for column in learns.T]
    statistics = [
        np.stack([f(values[inside], axis=0) for inside in seen])
        for values in (x, y)
        for f in (np.mean, np.std)
    ]
    centre, scale, y_centre, y_scale = (each.astype(np.float32) for each in statistics)
    contents = {"x": x.astype(np.float32), "y": y.astype(np.float32), "learns": learns}
    source = arrays(name, sklearn.__version__, f"{repeats} x {folds} folds", contents)
    return Folds(source, repeats, centre, scale, y_centre, y_scale)
