"""Recall: whether a sequence model repeats, at the end of a sequence, symbols from before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jax import Array

from dlcore.data.source import Source, first
from dlcore.metrics.known import Metric
from dlcore.samples import Table
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Model
from dlcore.train.step import Batch, State


def _last(model: Model, length: int) -> Callable[[State, Batch], Mapping[str, Array]]:
    """(state, batch) -> the last symbols that the model predicts, and their targets."""

    def last(state: State, batch: Batch) -> Mapping[str, Array]:
        logits = model(state.params, state.extra, batch, None, False)[0]
        return {"recalled": logits[:, -length:].argmax(-1), "target": batch["targets"][:, -length:]}

    return last


def evaluator(model: Model, test: Source, length: int, count: int) -> Evaluator:
    """Evaluates the fraction of the last symbols that are predicted correctly, after training.

    Metric: `recalled`, in [0, 1], under the split "test".

    Args:
        model: computes logits [batch, time, symbols] of a batch with `targets`, int [batch, time].
        test: examples, of which the first `count` are used.
        length: number of last symbols.
        count: number of examples.
    """

    def score(collected: Collected, split: str) -> dict[str, float]:
        return {"recalled": float((collected["recalled"] == collected["target"]).mean())}

    tested = {"test": first(test, count)}
    return Scored(tested, _last(model, length), score, {"recalled": Metric("higher")}, "end")


def samples(
    title: str, model: Model, test: Source, length: int, count: int = 8
) -> Callable[[State, Array], Table]:
    """Shows a table of the last symbols of examples, beside what the model predicts.

    Args:
        title: of the table.
        model, test, length: as of `evaluator`.
        count: number of examples.

    Returns:
        (state, key) -> the table; the key is not used.
    """
    last = _last(model, length)

    def draw(state: State, key: Array) -> Table:
        found = last(state, test.gather(np.arange(min(count, len(test)))))  # type: ignore[arg-type]
        rows = zip(found["target"].tolist(), found["recalled"].tolist(), strict=True)
        cells = tuple((" ".join(map(str, a)), " ".join(map(str, b))) for a, b in rows)
        return Table(title, ("target", "recalled"), cells)

    return draw
