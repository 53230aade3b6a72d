"""Pairs of images of people that a network was not trained on, and how they are measured.

See `dlcore.tasks.verification`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dlcore.data.source import Source
from dlcore.metrics.verification import (
    Pairs,
    SameProbability,
    Verification,
    balanced,
    fit_same_probability,
    pairs,
    verification,
)
from dlcore.train.model import Model

COMPONENTS = 50  # of the baseline by principal components


def labels(source: Source) -> np.ndarray:
    """Returns the labels of all examples of a source, int [examples]."""
    return source.gather(np.arange(len(source)))["label"]


def unseen_pairs(embedding: np.ndarray, source: Source) -> list[Pairs]:
    """Forms all pairs of the examples that the network of a fold was not trained on.

    Args:
        embedding: by the network of each fold, [examples, folds, d].
        source: `label` [examples] and `learns` [examples, folds].

    Returns:
        One `Pairs` per fold, whose indices are those of the source.
    """
    every = source.gather(np.arange(len(source)))
    label, learns = every["label"], every["learns"]
    found = []
    for fold in range(learns.shape[1]):
        index = np.flatnonzero(learns[:, fold] == 0)
        made = pairs(embedding[index, fold], label[index])
        found.append(made._replace(first=index[made.first], second=index[made.second]))
    return found


def baselines(model: Model, source: Source) -> dict[str, list[Pairs]]:
    """Forms the pairs of `unseen_pairs` with similarities of methods that learn little or nothing.

    Args:
        model: whose `inputs` are used.
        source: all examples, with `image`, `label` and `learns`.

    Returns:
        {method: one `Pairs` per fold}. Similarities are cosines: "inputs", of the network's inputs;
        "pca", of images standardised one by one, projected onto the first `COMPONENTS` principal
        components of the fold's training images and divided by the standard deviation of each
        component (whitening); "pixels", of the pixels.
    """
    from sklearn.decomposition import PCA

    every = source.gather(np.arange(len(source)))
    learns = every["learns"]
    pixels = every["image"].reshape(len(source), -1).astype(np.float64)
    given = np.asarray(model.inputs({"image": jnp.asarray(every["image"])}, None, False))
    centred = pixels - pixels.mean(1, keepdims=True)
    centred /= np.sqrt((centred**2).mean(1, keepdims=True) + 1.0)
    components = []
    for column in learns.T:
        training = centred[column == 1]
        # n centred images span n - 1 dimensions; whitening would scale up an n-th one, which is
        # rounding errors
        count = min(COMPONENTS, len(training) - 1, training.shape[1])
        fitted = PCA(count, whiten=True, svd_solver="full")
        components.append(fitted.fit(training).transform(centred))

    def of_all(x: np.ndarray) -> list[Pairs]:
        return unseen_pairs(np.repeat(x.reshape(len(x), 1, -1), learns.shape[1], 1), source)

    of_components = unseen_pairs(np.stack(components, 1), source)
    return {"inputs": of_all(given), "pca": of_components, "pixels": of_all(pixels)}


class Calibrated(NamedTuple):
    """Out-of-fold probabilities that a pair shows one person; arrays [pairs].

    Each fold has as many pairs of one person as of two.

    Attributes:
        probability: of each pair, by a function that is fitted to the pairs of other folds that
            show none of the people of its fold, or by `fitted` where `calibrated` falls back on it.
        same: whether the pair shows one person.
        fitted: the function that is fitted to the pairs of all folds, for use on new people.
    """

    probability: np.ndarray
    same: np.ndarray
    fitted: SameProbability


def calibrated(folds: list[Pairs], label: np.ndarray) -> Calibrated:
    """Fits the probability that a pair shows one person, and applies it out of fold.

    From each fold as many pairs of one person as of two are chosen (`balanced`). The probabilities
    of a fold's pairs come from a function that is fitted to the chosen pairs of the other folds,
    without those that show a person of this fold: a person may be in several folds. Where the pairs
    that are left are not of both kinds, the function that is fitted to all folds is used.

    Args:
        folds: of `unseen_pairs`.
        label: of the examples of their source, int [examples].

    Returns:
        Probabilities of the chosen pairs of all folds, fold by fold, and the function that is
        fitted to all of these pairs.

    Raises:
        ValueError: no fold has pairs of both kinds.
    """
    chosen = []
    for found in folds:
        index = balanced(found.similarity, found.same)
        chosen.append(Pairs(*(each[index] for each in found)))
    every = joined(chosen)
    fitted, crossed = fit_same_probability(every.similarity, every.same), []
    for number, (found, mine) in enumerate(zip(folds, chosen, strict=True)):
        people = label[np.union1d(found.first, found.second)]
        used = joined([_without(c, people, label) for k, c in enumerate(chosen) if k != number])
        both = used.same.any() and not used.same.all()
        fit = fit_same_probability(used.similarity, used.same) if both else fitted
        crossed.append(fit(mine.similarity))
    return Calibrated(np.concatenate(crossed), every.same, fitted)


def joined(parts: list[Pairs]) -> Pairs:
    """Concatenates the pairs of several folds."""
    return Pairs(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _without(found: Pairs, people: np.ndarray, label: np.ndarray) -> Pairs:
    """The pairs that show none of some people."""
    kept = ~(np.isin(label[found.first], people) | np.isin(label[found.second], people))
    return Pairs(*(each[kept] for each in found))


def of_folds(folds: list[Pairs]) -> list[Verification]:
    """Computes the metrics of each fold, see `metrics.verification`."""
    return [verification(found.similarity, found.same) for found in folds]
