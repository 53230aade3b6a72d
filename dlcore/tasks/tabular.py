"""Classification or regression of table rows; the facts of the data say which of the two."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

from dlcore.data.facts import Facts
from dlcore.data.own import tables
from dlcore.data.own.tables import Rows
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.samples import Plot, Sample, Series, Table, evenly
from dlcore.tasks import classification, regression
from dlcore.train.batched import over_source
from dlcore.train.evaluators import Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Params, State

_SHOWN = 6  # columns of a row in a table of predictions
CLASSES = {
    "log_loss": Metric("lower", "nats"),
    "baseline_accuracy": Metric("higher", baseline_of="accuracy"),
    "baseline_log_loss": Metric("lower", "nats", "log_loss"),
}
NUMBERS = {
    **dict.fromkeys(("rmse", "mae"), Metric("lower")),
    **{f"baseline_{name}": Metric("lower", baseline_of=name) for name in ("rmse", "mae")},
    "r2": Metric("higher"),
}


def outputs(facts: Facts) -> int:
    """Returns the number of outputs of a network: one per class, or one for a number."""
    return len(facts.classes) if facts.task == "classes" else 1


def output(facts: Facts) -> Callable[[Array, Batch], Array] | None:
    """Returns the `output` of a network's `Model`; None for classes.

    For a number: (y [batch, 1], batch) -> y [batch].
    """
    return None if facts.task == "classes" else lambda y, batch: y[:, 0]


def loss(model: Logits, facts: Facts) -> Loss:
    """Returns `classification.loss` of `label`, or `regression.loss` of `target`.

    Args:
        model: computes logits [batch, classes], or numbers [batch], standardised as `target` is.
        facts: of the training data; `task` is "classes" or "number".
    """
    return (classification if facts.task == "classes" else regression).loss(model)


def evaluators(model: Logits, splits: Splits) -> list[Evaluator]:
    """Evaluates metrics of a network and of trivial baselines.

    For classes: `log_loss` in nats; `baseline_accuracy`, of always predicting the most frequent
    class of the training split, and `baseline_log_loss`, of predicting its class frequencies. For
    numbers: `rmse` and `mae`, in the unit of the target, and `r2`; `baseline_rmse` and
    `baseline_mae`, of always predicting the training mean.

    Args:
        model: as of `loss`.
        splits: of `Rows`; validation is scored whenever losses are evaluated, test at the end.
    """
    sources: dict[str, Rows] = {"validation": splits.validation, "test": splits.test}
    classes = splits.facts.task == "classes"

    def collect(state: State, batch: Batch) -> Mapping[str, Array]:
        return {"output": _output(model, state.params, state.extra, batch)}

    def score(collected: Mapping[str, np.ndarray], split: str) -> dict[str, float]:
        found = _answers(splits.facts, collected["output"])
        return scores(splits.facts, found, sources[split].target)

    return [Scored(sources, collect, score, CLASSES if classes else NUMBERS)]


def scores(
    facts: Facts, answers: Float[np.ndarray, "n ..."], target: Shaped[np.ndarray, " n"]
) -> dict[str, float]:
    """Computes the metrics of `evaluators`.

    Args:
        facts: of the training data.
        answers: log-probabilities [n, classes], or numbers [n] in the unit of the target.
        target: indices of the classes [n], or numbers [n].

    Returns:
        {metric: value} of `CLASSES` or `NUMBERS`. `r2` of a constant target is 1 where all
        predictions are exact, else 0.
    """
    if facts.task == "classes":
        true = target.astype(int)
        counts = np.array(facts.class_counts, np.float64)
        prior = np.log(counts / counts.sum())
        return {
            "log_loss": float(-answers[np.arange(len(true)), true].mean()),
            "baseline_accuracy": float((true == counts.argmax()).mean()),
            "baseline_log_loss": float(-prior[true].mean()),
        }
    error, baseline = answers - target, facts.mean - target
    variance = float(target.var())
    mse = float((error**2).mean())
    return {
        "rmse": math.sqrt(mse),
        "mae": float(np.abs(error).mean()),
        "r2": 1 - mse / variance if variance else float(mse == 0),
        "baseline_rmse": math.sqrt((baseline**2).mean()),
        "baseline_mae": float(np.abs(baseline).mean()),
    }


def answers(
    model: Logits, facts: Facts, state: State, source: Source, batch: int = 256
) -> Float[np.ndarray, "n ..."]:
    """Computes the predictions for all examples of a source, in order.

    Args:
        model: as of `loss`.
        facts: of the training data.
        state: trained parameters.
        source: the examples.
        batch: examples per batch.

    Returns:
        Log-probabilities [n, classes], or numbers [n] in the unit of the target; float64.
    """
    run = _compiled(model)
    found = over_source(lambda rows: {"y": run(state.params, state.extra, rows)}, source, batch)
    return _answers(facts, found["y"])


def _answers(facts: Facts, y: np.ndarray) -> np.ndarray:
    """Outputs of the network as log-probabilities, or as numbers in their own unit."""
    y = y.astype(np.float64)
    if facts.task == "number":
        return y * facts.deviation + facts.mean
    y = y - y.max(-1, keepdims=True)
    return y - np.log(np.exp(y).sum(-1, keepdims=True))


def _output(model: Logits, params: Params, extra: Extra, batch: Batch) -> Array:
    return model(params, extra, batch, None, False)[0].astype(jnp.float32)


@functools.lru_cache(maxsize=1)
def _compiled(model: Logits) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], Array]:
    return jax.jit(functools.partial(_output, model))


def samples(
    title: str, model: Logits, splits: Splits, count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """Shows predictions of test rows, the worst ones, and a description of the columns.

    Args:
        title: what the rows are.
        model: as of `loss`.
        splits: of `Rows`.
        count: number of rows in the table of the first ones of the test split.

    Returns:
        (state, key) -> a table of the first rows; one of the at most 20 rows with the largest
        errors, or of the wrong classes with the smallest probability of the true one (left out if
        all are right); a plot of predicted by true numbers, or confusions; a table of the columns.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        source: Rows = splits.test
        facts = splits.facts
        found = answers(model, facts, state, source)
        make = _of_classes if facts.task == "classes" else _of_numbers
        columns = Table("Columns", ("column", "holds"), tuple(tables.described(facts)))
        return [*make(title, facts, found, source, count), columns]

    return draw


def _table(
    title: str,
    head: Sequence[str],
    of_row: Callable[[int], tuple[str | float, ...]],
    source: Rows,
    index: np.ndarray,
) -> Table:
    """A table of rows: their predictions and their first cells."""
    shown = source.columns[:_SHOWN]
    cells = tuple((*of_row(i), *source.cells[i][:_SHOWN]) for i in index)
    return Table(title, (*head, *shown), cells)


def _of_classes(
    title: str, facts: Facts, found: np.ndarray, source: Rows, count: int
) -> list[Sample]:
    p, true, names = np.exp(found), source.target.astype(int), facts.classes
    guess, of_true = p.argmax(1), p[np.arange(len(true)), true]

    def of_row(i: int) -> tuple[str | float, ...]:
        return names[guess[i]], round(float(p[i, guess[i]]), 3), names[true[i]]

    head = ("predicted", "probability", "true")
    order = np.argsort(of_true, kind="stable")
    worst = order[guess[order] != true[order]][:20]
    mistakes = [_table(f"{title}: the worst mistakes", head, of_row, source, worst)]
    return [
        _table(title, head, of_row, source, np.arange(min(count, len(true)))),
        *(mistakes if len(worst) else []),
        classification.confusions(title, true, guess, names),
    ]


def _of_numbers(
    title: str, facts: Facts, found: np.ndarray, source: Rows, count: int
) -> list[Sample]:
    target = source.target

    def of_row(i: int) -> tuple[str | float, ...]:
        return float(found[i]), float(target[i]), float(found[i] - target[i])

    head = ("predicted", "true", "error")
    worst = np.argsort(-np.abs(found - target), kind="stable")[:20]
    ends = np.array([target.min(), target.max()])
    drawn, label = evenly(len(target), "rows")
    points = Series(label, target[drawn], found[drawn], points=True)
    series = (points, Series("exact", ends, ends))
    unit = facts.target
    return [
        _table(title, head, of_row, source, np.arange(min(count, len(target)))),
        _table(f"{title}: the largest errors", head, of_row, source, worst),
        Plot(f"{title}: {unit}", f"true {unit}", f"predicted {unit}", series),
    ]
