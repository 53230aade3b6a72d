"""Verification: whether two images show the same person, for people never seen in training.

Each fold has a network that is trained without the people of this fold and tested on all pairs of
their images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.source import Source
from dlcore.errors import UsageError
from dlcore.kernels.contrast import batch_hard_triplet, info_nce
from dlcore.kernels.margin import arc_face, cos_face
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.tasks.verification_pairs import baselines, calibrated, labels, of_folds, unseen_pairs
from dlcore.train.batched import over_source
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.gather import all_rows
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

Kind = Literal["arcface", "cosface", "contrastive", "triplet"]
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
    run = embedding_of(model)

    def of_batch(rows: Mapping[str, np.ndarray]) -> dict[str, Array]:
        return {"embedding": run(state.params, state.extra, arrays_of(rows))}

    return over_source(of_batch, source, min(batch, len(source)))["embedding"]


@functools.lru_cache(maxsize=1)
def embedding_of(model: Model) -> Callable[[Params, Extra, Batch], Array]:
    """Returns (params, extra, batch) -> embeddings [batch, folds, d], compiled.

    The network of each fold embeds all examples. Only the function of the last model is cached.
    """
    return jax.jit(lambda params, extra, batch: model(params, extra, batch, None, False)[0][0])


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
