"""Metrics of whole corpora and of several runs, on the host, in float64; and what is known of a metric by its exact name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

Better = Literal["higher", "lower"]


class Metric(NamedTuple):
    """What an experiment declares of a metric: which values are better (None: neither, it only describes), and its unit."""

    better: Better | None
    unit: str = ""


_HIGHER, _LOWER = Metric("higher"), Metric("lower")
KNOWN: Mapping[str, Metric] = {
    **dict.fromkeys(("accuracy", "top5_accuracy", "precision", "recall", "f1", "sensitivity", "specificity", "auc"), _HIGHER),
    **dict.fromkeys(("average_precision", "map", "iou", "dice", "ssim", "r2", "elbo"), _HIGHER),
    **dict.fromkeys(("in_scope_accuracy", "out_of_scope_recall"), _HIGHER),  # Larson et al. 2019
    **dict.fromkeys(("loss", "cross_entropy", "perplexity", "error_rate", "wer", "cer", "calibration_error"), _LOWER),
    **dict.fromkeys(("squared_error", "mse", "rmse", "mae", "fid", "frechet_distance"), _LOWER),
    "nll": Metric("lower", "nats"),
    "bits_per_byte": Metric("lower", "bits"),
    "psnr": Metric("higher", "dB"),
    "bleu": _HIGHER,
    "chrf": _HIGHER,
}


def known(name: str, declared: Mapping[str, Any] | None = None) -> Metric:
    """What `name` ("accuracy", or with its objective "net/accuracy") means: as `declared` says, else as the field uses that exact name.

    Of an unknown name nothing is guessed: its `better` is None. `declared` may come from a card, where a Metric is a mapping.
    """
    for each in (name, name.rpartition("/")[2]):
        found = (declared or {}).get(each)
        if isinstance(found, Metric):
            return found
        if isinstance(found, Mapping):
            better = found.get("better")
            return Metric(better if better in ("higher", "lower") else None, str(found.get("unit", "")))
        if each in KNOWN:
            return KNOWN[each]
    return Metric(None)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between Gaussians fitted to features [n, d] (Heusel et al. 2017, eq. 6).

    The trace of the root comes from the singular values of C_a^(1/2) C_b^(1/2), symmetric roots, so that no complex number
    arises. Raises ValueError unless both have the same d and at least two rows.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"features must be [n, d] with n > 1 and one d, not {a.shape} and {b.shape}")
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = np.linalg.svd(_root(ca) @ _root(cb), compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root)


def _root(c: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def neighbours(reference: np.ndarray, others: np.ndarray, k: int = 3) -> float:
    """The share of `others` [n, d] within some `reference` [m, d] point's distance to its k-th neighbour (Kynkaanniemi et al. 2019, eq. 1).

    Of real features against drawn ones it is their precision, the other way round their recall. Raises ValueError unless m > k.
    """
    reference, others = np.asarray(reference, np.float64), np.asarray(others, np.float64)
    if len(reference) <= k:
        raise ValueError(f"{len(reference)} points have no neighbour number {k}")
    radius = np.partition(_squares(reference, reference), k, axis=1)[:, k]  # number 0 is the point itself
    return float((_squares(others, reference) <= radius).any(1).mean())


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)


def psnr(images: np.ndarray, reference: np.ndarray) -> float:
    """The mean over images [n, ...] of 10 log10(1 / their mean squared error), in decibels, for pixels in [0, 1].

    Infinite if one of them is equal to its reference. Raises ValueError unless both have one shape.
    """
    a, b = np.asarray(images, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"images and reference must be [n, ...] of one shape, not {a.shape} and {b.shape}")
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(((a - b) ** 2).reshape(len(a), -1).mean(1)).mean())


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False) -> tuple[float, str]:
    """Corpus BLEU of 0 to 100 (Papineni et al. 2002) by sacreBLEU (Post 2018), and its signature: 13a tokens of plain text.

    One reference a hypothesis. Raises ValueError unless there is at least one, and as many of both.
    """
    import sacrebleu

    if not hypotheses or len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses cannot be held against {len(references)} references")
    metric = sacrebleu.BLEU(lowercase=lowercase)
    return float(metric.corpus_score(list(hypotheses), [list(references)]).score), str(metric.get_signature())


class Reliability(NamedTuple):
    """Bins of predicted probabilities that hold any: their bounds, how many, the mean prediction, how often it came true; ECE."""

    low: np.ndarray
    high: np.ndarray
    examples: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    error: float


def reliability(probability: np.ndarray, true: np.ndarray, bins: int = 10) -> Reliability:
    """Are probabilities [n] of an event that came true (1) or not (0) [n] what they say?

    `bins` of equal width (low, high], the first one with 0; their bounds k / bins are rounded to the type of `probability`, so that
    0.07 is the bound 7/100 in float32 as in float64. The expected calibration error is the mean over examples of
    |observed - predicted| of their bins (Guo et al. 2017, eq. 3, for the probability of one class). Raises ValueError for what is
    no probability, and for less than one bin.
    """
    given = np.asarray(probability)
    p, true = given.astype(np.float64), np.asarray(true, np.float64)
    if bins < 1:
        raise ValueError(f"{bins} bins: at least one is needed")
    if p.shape != true.shape or p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"needs [n] probabilities and as many outcomes, not {p.shape} and {true.shape}, all of them in [0, 1]")
    kind = given.dtype if np.issubdtype(given.dtype, np.floating) else np.dtype(np.float64)
    place = np.searchsorted((np.arange(1, bins) / bins).astype(kind), given.astype(kind))  # the first bound that is not below it
    held = np.unique(place)
    examples, predicted, observed = np.array(
        [(len(p[place == b]), p[place == b].mean(), true[place == b].mean()) for b in held]
    ).T
    error = float((examples * np.abs(observed - predicted)).sum() / len(p))
    return Reliability(held / bins, (held + 1) / bins, examples.astype(int), predicted, observed, error)


def spread(values: Mapping[str, Sequence[float]], form: str = ".4f") -> str:
    """Mean and standard deviation of each metric over the seeds, in words; of numbers that are none, nan."""
    told = {name: np.asarray(each, np.float64) for name, each in values.items()}
    with np.errstate(invalid="ignore"):
        spreads = {name: each.std(ddof=1) if len(each) > 1 else 0.0 for name, each in told.items()}
        return "  ".join(f"{name} {each.mean():{form}} ± {spreads[name]:.2g}" for name, each in told.items())


def summary(results: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    """{split: the metrics that all runs have, over the runs, in words}."""
    first = results[0] if results else {}
    shared = {
        split: [name for name in metrics if all(name in each.get(split, {}) for each in results)]
        for split, metrics in first.items()
    }
    return {
        split: spread({name: [each[split][name] for each in results] for name in names})
        for split, names in shared.items()
        if names
    }
