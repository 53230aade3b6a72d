"""scikit-learn's small tables, in folds for cross-validation or as rows with a target."""

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
    """A table for cross-validation, with all folds of all repeats; each trains one network.

    Attributes:
        source: `x` float32 [n, features], `y` float32 [n], and `learns` float32 [n, networks]: 1
            where a network is trained on an example, 0 where it is tested on it.
        repeats: number of repeats. Network r * folds + f is that of fold f of repeat r.
        centre, scale: mean and standard deviation of x over each network's training examples,
            [networks, features].
        y_centre, y_scale: the same of y, [networks].
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
        """Selects the out-of-fold predictions.

        Args:
            predicted: predictions of every network for every example [networks, n].

        Returns:
            Those of the networks that were not trained on the example [repeats, n].
        """
        unseen = self.source.arrays["learns"].T == 0
        return np.where(unseen, predicted, 0).reshape(self.repeats, -1, len(self.source)).sum(1)

    def parts(self) -> list[Integer[np.ndarray, " _"]]:
        """Returns the indices of the test examples of each network."""
        return [np.flatnonzero(column == 0) for column in self.source.arrays["learns"].T]


def breast_cancer(folds: int, repeats: int) -> Folds:
    """Returns the Wisconsin diagnostic set in stratified folds; y is 1 for a malignant tumour.

    It has 569 tumours with 30 measurements of cell nuclei.

    Args:
        folds: of a repeat, at least 2.
        repeats: number of repeats, at least 1.

    Raises:
        ValueError: fewer folds or repeats.
    """
    from sklearn.datasets import load_breast_cancer

    x, benign = load_breast_cancer(return_X_y=True)
    return _cut("breast_cancer", x, 1 - benign, folds, repeats, stratified=True)


def diabetes(folds: int, repeats: int) -> Folds:
    """Returns the diabetes set in folds; y is the disease's progression in a year (25 to 346).

    It has 442 patients with 10 measurements.

    Args:
        folds: of a repeat, at least 2.
        repeats: number of repeats, at least 1.

    Raises:
        ValueError: fewer folds or repeats.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return _cut("diabetes", x, y, folds, repeats, stratified=False)


def rows(source: DataSource, target: str, task: own.Task = "auto") -> Splits:
    """Returns a table as splits of rows: the tumours of `breast_cancer`, or a user's file.

    Args:
        source: "published" or "offline", which are the same: the tumours as scikit-learn contains
            them, with its names of columns, and `diagnosis`; or the path of a user's table, see
            `dlcore.data.own.tables.load`.
        target, task: see `dlcore.data.own.tables.splits_of`; of the tumours the target is usually
            `diagnosis`.

    Returns:
        Splits as of `dlcore.data.own.tables.splits_of`.

    Raises:
        UsageError: a fault in the table, or it has no column `target`.
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
    """Returns a table for cross-validation as splits: all examples are in train and in test.

    Args:
        name: breast_cancer or diabetes.
        source: published and offline are the same, since scikit-learn contains the tables.
        folds, repeats: of the cross-validation.

    Returns:
        Splits, train and test, of the fields of `Folds.source`; `facts` has `folds`, `repeats`, the
        statistics of each network for `folds_of`, `features` (the names of the columns of `x`) and
        `classes` ([] of diabetes).

    Raises:
        UsageError: another name, or a path.
        ValueError: fewer than two folds or one repeat.
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
    """Converts what `load` returned to `Folds`.

    Args:
        splits: of `load`. The statistics (`centre` and so on) and `repeats` are read from their
            facts, which may be those of a saved run.
    """
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
