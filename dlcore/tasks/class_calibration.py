"""Calibration of a classifier at each evaluation, and the baseline of the most frequent class."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.splits import Splits
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, State


def evaluator(model: Logits, splits: Splits, prefix: str = "") -> Evaluator:
    """Evaluates accuracy and calibration of a classifier on validation and test, and a baseline.

    It runs at each evaluation, on test at the end alone. `calibration_error` is the expected error
    of the probability of the predicted class (Guo et al. 2017, eq. 3), and `majority_accuracy` the
    accuracy of always predicting the class that is most frequent in training.

    Args:
        model: computes logits [batch, classes].
        splits: with `label`; those of train are in memory.
        prefix: put in front of `accuracy` and `calibration_error`, not of `majority_accuracy`. With
            "" there is no `accuracy` here, since `classification.loss` has that metric.
    """
    sources = {name: splits[name] for name in ("validation", "test")}

    @functools.cache
    def majority() -> int:
        return int(np.bincount(splits.train.arrays["label"]).argmax())

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        logits = model(state.params, state.extra, batch, None, False)[0]
        p = jax.nn.softmax(logits.astype(jnp.float32))
        return {
            "confidence": p.max(-1),
            "right": p.argmax(-1) == batch["label"],
            "label": batch["label"],
        }

    def score(collected: Collected, split: str) -> dict[str, float]:
        p, right = np.clip(collected["confidence"], 0, 1), collected["right"]
        scores = {
            f"{prefix}calibration_error": reliability(p, right).error,
            "majority_accuracy": float((collected["label"] == majority()).mean()),
        }
        # without a prefix the loss gives it
        return {f"{prefix}accuracy": float(right.mean()), **scores} if prefix else scores

    metrics = {
        f"{prefix}calibration_error": Metric("lower"),
        "majority_accuracy": Metric(None, baseline_of=f"{prefix}accuracy"),
        **({f"{prefix}accuracy": Metric("higher")} if prefix else {}),
    }
    return Scored(sources, collect, score, metrics)
