"""Verification: whether two images show the same person, for people never seen in training.

Each fold has a network that is trained without the people of this fold and tested on all pairs of
their images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.errors import UsageError
from dlcore.kernels.contrast import batch_hard_triplet, info_nce
from dlcore.kernels.margin import arc_face, cos_face
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.metrics.verification import (
    Pairs,
    SameProbability,
    Verification,
    balanced,
    fit_same_probability,
    pairs,
    verification,
)
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.gather import all_rows
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

Kind = Literal["arcface", "cosface", "contrastive", "triplet"]
COMPONENTS = 50  # of the baseline by principal components
BASELINES = ("inputs", "pca", "pixels")
METRICS = {
    "eer": Metric("lower"),
    "eer_deviation": Metric("lower"),
    "auc": Metric("higher"),
    "tar_at_far_1": Metric("higher"),
    "calibration_error": Metric("lower"),
    "threshold": Metric(None),
    "same_slope": Metric(None),
    "same_intercept": Metric(None),
    **{f"{name}_eer": Metric("lower", baseline_of="eer") for name in BASELINES},
    **{
        f"{name}_{each}": Metric("higher", baseline_of=each)
        for name in BASELINES
        for each in ("auc", "tar_at_far_1")
    },
}


def loss(
    model: Model,
    kind: Kind = "arcface",
    margin: float = 0.3,
    scale: float = 16.0,
) -> Loss:
    """Returns a loss of embeddings, the mean over all networks, one per fold, and their examples.

    "arcface" and "cosface" classify by angle with a margin; metric: `accuracy`, without the margin.
    "contrastive" (`kernels.contrast.info_nce`) and "triplet" (`batch_hard_triplet`) compare the
    examples of a batch, over all devices, with one another; they have no metrics, and leave out
    examples without another one of the same label. In training the loss of a network is over the
    examples of a batch that it is trained on, in evaluation over those that it is not trained on.

    Args:
        model: computes embeddings [batch, folds, d] and cosines [batch, folds, classes] of a batch
            with `label` int [batch], `learns` [batch, folds], 1 where a network is trained on an
            example, else 0, `mask` [batch], and for the losses that compare examples `row` int
            [batch].
        kind: of the loss.
        margin: of arcface in radians, of cosface a cosine, of triplet a distance; not used
            by contrastive.
        scale: of the logits; of contrastive the inverse temperature; not used by triplet.

    Raises:
        UsageError: an angle above pi as the margin of arcface.
    """
    if kind == "arcface" and margin > np.pi:
        raise UsageError(f"--margin {margin:g} of --loss arcface is an angle: give at most pi")

    def of_embeddings(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        (embedding, cosine), extra = model(params, extra, batch, key, train)
        counts = _counts(batch, train)
        if kind in ("contrastive", "triplet"):
            each, has_positive = _compared(embedding, batch, counts, kind, margin, scale)
            return Out(mean(each, counts * has_positive), {}, extra)
        cosine = cosine.astype(jnp.promote_types(cosine.dtype, jnp.float32))
        label = batch["label"]
        kernel = arc_face if kind == "arcface" else cos_face
        logits = jax.vmap(lambda c: kernel(c, label, margin, scale), 1, 1)(cosine)
        labels = jnp.broadcast_to(label[:, None], cosine.shape[:2])
        each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        right = mean(jnp.argmax(cosine, -1) == labels, counts)
        return Out(mean(each, counts), {"accuracy": right}, extra)

    return of_embeddings


def arrays_of(batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """Converts the NumPy arrays of a batch to arrays of JAX."""
    return {name: jnp.asarray(array) for name, array in batch.items()}


def _counts(batch: Batch, train: bool) -> Array:
    """Weights [batch, folds]: in training those of the training examples, else of the others."""
    return (batch["learns"] if train else 1 - batch["learns"]) * batch["mask"][:, None]


def _compared(
    embedding: Array, batch: Batch, counts: Array, kind: Kind, margin: float, scale: float
) -> tuple[Array, Array]:
    """Losses of this device's rows against all rows, and whether a row has a positive, each
    [batch, folds].
    """
    candidates = all_rows(embedding)
    label, row, counted = (all_rows(x) for x in (batch["label"], batch["row"], counts))
    same = batch["label"][:, None] == label[None]
    other = batch["row"][:, None] != row[None]

    def of_fold(anchor: Array, candidate: Array, weight: Array) -> tuple[Array, Array]:
        visible = other & (weight > 0)[None]
        if kind == "triplet":
            each = batch_hard_triplet(anchor, candidate, same, visible, margin)
        else:
            each = info_nce(anchor, candidate, same, visible, 1 / scale)
        return each, (same & visible).any(-1)

    return jax.vmap(of_fold, (1, 1, 1), 1)(embedding, candidates, counted)


def embeddings(model: Model, state: State, source: Source, batch: int = 128) -> np.ndarray:
    """Computes the embeddings of all examples by all networks, float32 [examples, folds, d]."""
    batch, chunks = min(batch, len(source)), []
    for rows in in_order(source, batch, np.arange(batch)):
        found = embedding_of(model)(state.params, state.extra, arrays_of(rows))
        chunks.append(np.asarray(found)[rows["mask"] > 0])
    return np.concatenate(chunks)


@functools.lru_cache(maxsize=1)
def embedding_of(model: Model) -> Callable[[Params, Extra, Batch], Array]:
    """Returns (params, extra, batch) -> embeddings [batch, folds, d], compiled.

    The network of each fold embeds all examples. Only the function of the last model is cached.
    """
    return jax.jit(lambda params, extra, batch: model(params, extra, batch, None, False)[0][0])


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


def evaluators(model: Model, source: Source) -> list[Evaluator]:
    """Evaluates pairs of unseen people at the end, under the split "test".

    Means over the folds: `eer`, the equal error rate, `auc`, the area under the ROC curve, and
    `tar_at_far_1`, the true accept rate at a false accept rate of 1 %; `eer_deviation` is `eer`'s
    standard deviation over the folds. `threshold` is the similarity at which a pair is as probably
    of one person as of two, and `same_slope` and `same_intercept` give the probability
    (`SameProbability`); `calibration_error` is its expected calibration error on people that it was
    not fitted to. Metrics of `baselines` have the name of the method as prefix, as in `pca_eer`.

    Args:
        model: as of `loss`.
        source: all examples.
    """
    known = functools.cache(
        lambda: {name: of_folds(p) for name, p in baselines(model, source).items()}
    )

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        return {"embedding": model(state.params, state.extra, batch, None, False)[0][0]}

    def score(collected: Collected, split: str) -> dict[str, float]:
        folds = unseen_pairs(collected["embedding"], source)
        found, fitted = np.array(of_folds(folds)), calibrated(folds, labels(source))
        eer, _, auc, tar = found.mean(0)
        metrics = {
            "eer": eer,
            "eer_deviation": found[:, 0].std(),
            "auc": auc,
            "tar_at_far_1": tar,
            "calibration_error": reliability(fitted.probability, fitted.same).error,
            "threshold": fitted.fitted.threshold,
            "same_slope": fitted.fitted.slope,
            "same_intercept": fitted.fitted.intercept,
        }
        for name, each in known().items():
            metrics[f"{name}_eer"] = np.mean([fold.eer for fold in each])
            metrics[f"{name}_auc"] = np.mean([fold.auc for fold in each])
            metrics[f"{name}_tar_at_far_1"] = np.mean([fold.tar_at_far_1 for fold in each])
        return {name: float(value) for name, value in metrics.items()}

    return [Scored({"test": source}, collect, score, METRICS, every="end")]
