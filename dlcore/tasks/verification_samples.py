"""Samples of a verifier: right and wrong pairs, curves, and metrics of folds and baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.metrics.verification import Pairs, SameProbability, roc
from dlcore.samples import Images, Plot, Sample, Series, Table
from dlcore.tasks import verification_pairs
from dlcore.tasks.reliability import of_one_class
from dlcore.tasks.verification import embeddings
from dlcore.train.model import Model
from dlcore.train.step import State

_BINS = 40  # of the histogram of similarities
_POINTS = 400  # of a drawn ROC curve at most
_NAMES = {
    "network": "networks",
    "inputs": "inputs of the networks",
    "pca": "principal components",
    "pixels": "pixels",
}


def side_by_side(first: np.ndarray, second: np.ndarray, gap: int = 2) -> np.ndarray:
    """Joins two images [height, width, c] of one height, with `gap` white columns between them."""
    between = np.full((first.shape[0], gap, first.shape[2]), 255, first.dtype)
    return np.concatenate([first, between, second], 1)


def samples(
    title: str, model: Model, source: Source, count: int = 10
) -> Callable[[State, Array], list[Sample]]:
    """Shows pairs, the worst mistakes, similarities, ROC curves, calibration and folds' metrics.

    Args:
        title: what the examples are.
        model: as of `verification.loss`.
        source: all examples, with `image`, `label` and `learns`.
        count: number of pairs shown of one person, and of two; twice as many mistakes at most.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        folds = verification_pairs.unseen_pairs(embeddings(model, state, source), source)
        found = verification_pairs.calibrated(folds, verification_pairs.labels(source))
        methods = {"network": folds, **verification_pairs.baselines(model, source)}
        joined = verification_pairs.joined(folds)
        return [
            _typical(title, source, joined, found.fitted, count),
            *_mistakes(title, source, joined, found.fitted, count),
            _similarities(joined, found.fitted),
            _curves(methods),
            *of_one_class(
                "Calibration on people it was not fitted to",
                "one person",
                "pairs",
                found.probability,
                found.same,
            ),
            _table(methods),
        ]

    return draw


def _typical(
    title: str, source: Source, found: Pairs, fitted: SameProbability, count: int
) -> Sample:
    """Pairs of one person and of two, evenly by their similarity."""
    rows = []
    for same in (True, False):
        index = np.flatnonzero(found.same == same)
        index = index[np.argsort(found.similarity[index], kind="stable")]
        rows += index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)].tolist()
    name = f"{title}: pairs of one person and of two, from the least to the most similar"
    return _images(name, source, found, fitted, rows)


def _mistakes(
    title: str, source: Source, found: Pairs, fitted: SameProbability, count: int
) -> list[Sample]:
    """The wrong pairs whose probability is farthest from the truth."""
    probability = fitted(found.similarity)
    miss = np.where(found.same, 1 - probability, probability)
    worst = np.argsort(-miss, kind="stable")[: 2 * count]
    worst = worst[miss[worst] > 0.5]
    if not len(worst):
        return []
    return [_images(f"{title}: the worst mistakes", source, found, fitted, worst.tolist())]


def _images(
    title: str, source: Source, found: Pairs, fitted: SameProbability, rows: Sequence[int]
) -> Images:
    first, second = (
        source.gather(np.asarray(index)[rows])["image"] for index in (found.first, found.second)
    )
    probability, same = fitted(found.similarity[rows]), found.same[rows]
    right = (probability > 0.5) == same
    captions = tuple(
        f"one person {p:.0%}" + ("" if ok else f", is {'one' if true else 'two'}")
        for p, ok, true in zip(probability, right, same, strict=True)
    )
    images = np.stack([side_by_side(a, b) for a, b in zip(first, second, strict=True)])
    return Images(title, images, captions, tuple(right.tolist()), columns=5)


def _similarities(found: Pairs, fitted: SameProbability) -> Plot:
    edges = np.linspace(-1, 1, _BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    series = []
    for name, same in (("one person", True), ("two people", False)):
        counts, _ = np.histogram(found.similarity[found.same == same], edges)
        series.append(Series(name, middle, counts / counts.sum()))
    title = (
        f"Similarity of pairs: at {fitted.threshold:.3f} one person is as probable as two, where"
        " both are as frequent"
    )
    return Plot(title, "cosine of the two embeddings", "fraction of pairs", tuple(series))


def _curves(methods: dict[str, list[Pairs]]) -> Plot:
    """ROC curves over the pairs of all folds, on a logarithmic axis."""
    series = []
    for name, folds in methods.items():
        similarity, same = (np.concatenate([each[i] for each in folds]) for i in (0, 1))
        accepted, true, _ = roc(similarity, same)
        grid = np.geomspace(max(1e-4, 1 / (~same).sum()), 1, _POINTS)
        series.append(Series(_NAMES[name], grid, np.interp(grid, accepted, true)))
    return Plot(
        "ROC curves, pairs of all folds",
        "false accept rate",
        "true accept rate",
        tuple(series),
        log_x=True,
    )


def _table(methods: dict[str, list[Pairs]]) -> Table:
    head = ("fold", "method", "equal error rate", "area under ROC", "accepted at FAR 1 %")
    rows: list[tuple[str | float, ...]] = []
    for name, folds in methods.items():
        found = verification_pairs.of_folds(folds)
        each = [(m.eer, m.auc, m.tar_at_far_1) for m in found]
        rows += [(str(fold), _NAMES[name], *values) for fold, values in enumerate(each)]
        rows.append(("mean", _NAMES[name], *map(float, np.mean(each, 0))))
    return Table("Each fold, beside baselines on the same people", head, tuple(rows))
