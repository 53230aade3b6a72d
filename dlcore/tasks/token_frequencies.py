"""The baseline of language models: each token as often as in training, whatever stands before."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from dlcore.data.source import Batch, Source
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.train.evaluators import Collected, Evaluator, Scored

PERPLEXITY, BITS = "perplexity_of_frequencies", "bits_per_byte_of_frequencies"
MAJORITY = "accuracy_of_majority"
_METRICS = {
    PERPLEXITY: Metric(None, baseline_of="perplexity"),
    BITS: Metric(None, baseline_of="bits_per_byte"),
    MAJORITY: Metric(None, baseline_of="accuracy"),
}
_ROWS = 1024  # of a batch
_MOST = 32 * _ROWS  # of training that are counted, evenly spread


def log_frequencies(train: Source, vocabulary: int) -> Float[np.ndarray, " vocabulary"]:
    """Computes the natural logarithm of the frequency of each token among the targets.

    A target counts by its weight. One is added to the count of each token (Laplace), so that no
    frequency is 0.

    Args:
        train: rows with `targets` int [N, length] and `weight` float [N, length]; of more than
            32,768 rows that many are counted, evenly spaced over the source.
        vocabulary: number of tokens.
    """
    counts = np.ones(vocabulary)
    for batch in _batches(train, _MOST):
        counts += np.bincount(
            batch["targets"].reshape(-1), batch["weight"].reshape(-1), minlength=vocabulary
        )
    return np.log(counts / counts.sum())


def scores(source: Source, log_frequency: Float[np.ndarray, " vocabulary"]) -> dict[str, float]:
    """Computes how well fixed token frequencies predict the targets of a source.

    Args:
        source: rows with `targets`, `weight`, and optionally `bytes`, all [N, length]; `bytes` is
            the number of bytes of each target.
        log_frequency: natural logarithm of the frequency of each token.

    Returns:
        {`PERPLEXITY`: exp of the weighted mean negative log-frequency; `BITS`: bits per byte,
        where the rows have `bytes`}.
    """
    nats = tokens = size = 0.0
    for batch in _batches(source, len(source)):
        weight = batch["weight"].astype(np.float64)
        nats -= float((log_frequency[batch["targets"]] * weight).sum())
        tokens += float(weight.sum())
        size += float((batch["bytes"] * weight).sum()) if "bytes" in batch else 0.0
    found = {PERPLEXITY: math.exp(nats / max(tokens, 1.0))}
    return found | ({BITS: nats / math.log(2) / size} if size else {})


def evaluator(splits: Splits, name: str) -> Evaluator:
    """Evaluates the token frequencies of training as a baseline, at the end.

    Args:
        splits: packed rows, of which those of `Splits.evaluated` are scored; their fact
            `vocabulary` is used.
        name: the metric that is evaluated, `PERPLEXITY` or `BITS` (needs rows with `bytes`).
    """
    sources = splits.evaluated()
    counted: list[np.ndarray] = []  # once for all splits

    def score(collected: Collected, split: str) -> dict[str, float]:
        if not counted:
            counted.append(log_frequencies(splits.train, splits.facts.vocabulary))
        return {name: scores(sources[split], counted[0])[name]}

    return Scored(dict.fromkeys(sources), lambda *_: {}, score, {name: _METRICS[name]}, "end")


def masked_evaluator(splits: Splits, first: int) -> Evaluator:
    """Evaluates, at the end, the most frequent token of training as the guess for each masked one.

    Args:
        splits: rows with `tokens` int [length], of which those of `Splits.evaluated` are scored;
            their fact `vocabulary` is used.
        first: the first token that may be masked; those before it, such as padding, do not count.

    Returns:
        An evaluator of `MAJORITY`: the proportion of this token among the tokens that may be
        masked, which is the expected accuracy of the guess.
    """
    sources, size = splits.evaluated(), splits.facts.vocabulary

    def counts(source: Source, most: int) -> np.ndarray:
        each = (np.bincount(b["tokens"].ravel(), minlength=size) for b in _batches(source, most))
        return np.sum([row[first:] for row in each], axis=0)

    def score(collected: Collected, split: str) -> dict[str, float]:
        found = counts(sources[split], len(sources[split]))
        return {MAJORITY: float(found[counts(splits.train, _MOST).argmax()] / found.sum())}

    metrics = {MAJORITY: _METRICS[MAJORITY]}
    return Scored(dict.fromkeys(sources), lambda *_: {}, score, metrics, "end")


def _batches(source: Source, most: int) -> Iterator[Batch]:
    rows = np.unique(np.linspace(0, len(source) - 1, min(len(source), most)).astype(np.int64))
    for first in range(0, len(rows), _ROWS):
        yield source.gather(rows[first : first + _ROWS])
