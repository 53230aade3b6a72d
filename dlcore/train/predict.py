"""A trained model over many examples: predictions to look at, features to measure with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.report.samples import Images, Table
from dlcore.train.losses import Logits
from dlcore.train.step import State

MATRIX = 20  # classes of a confusion matrix that a person can read; of more, the pairs that are confused most often


def predicted(
    title: str, logits: Logits, state: State, source: Source, names: Sequence[str] = (), count: int = 40
) -> list[Images | Table]:
    """What a classifier of images makes of a source: its first `count` images, its worst mistakes, and its confusions.

    Each image has its predicted class as a caption, and the true one where that differs; a mistake is the worse the smaller the
    probability of the true class was.
    """
    p, true = probabilities(logits, state, source)
    names, guess = names or tuple(map(str, range(p.shape[1]))), p.argmax(1)
    first = np.arange(min(count, len(true)))
    captions = tuple(names[g] if g == t else f"{names[g]}, is {names[t]}" for g, t in zip(guess[first], true[first], strict=True))
    right = tuple((guess == true)[first].tolist())
    shown: list[Images | Table] = [Images(title, source.gather(first)["image"], captions, right)]
    worst = _worst(p, true)
    if len(worst):
        captions = tuple(f"{names[guess[i]]} {p[i, guess[i]]:.0%}, is {names[true[i]]} {p[i, true[i]]:.0%}" for i in worst)
        shown.append(Images(f"{title}: the worst mistakes", source.gather(worst)["image"], captions, (False,) * len(worst)))
    return [*shown, confusions(title, true, guess, names)]


def texts(
    title: str, logits: Logits, state: State, source: Source, said: Sequence[str], names: Sequence[str], count: int = 40
) -> list[Table]:
    """As `predicted`, of a classifier of texts: tables of the text of an example, its classes and their probabilities."""
    p, true = probabilities(logits, state, source)
    guess, first = p.argmax(1), np.arange(min(count, len(true)))

    def table(title: str, rows: np.ndarray) -> Table:
        told = ((said[i], names[guess[i]], _digits(p[i, guess[i]]), names[true[i]], _digits(p[i, true[i]])) for i in rows)
        return Table(title, ("text", "predicted", "probability", "true", "its probability"), tuple(told))

    worst = _worst(p, true)
    mistakes = [table(f"{title}: the worst mistakes", worst)] if len(worst) else []
    return [table(title, first), *mistakes, confusions(title, true, guess, names)]


def probabilities(logits: Logits, state: State, source: Source, batch: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """The softmax of the logits [N, classes] and the true labels [N] of all examples of a source, in order."""
    batch, run = min(batch, len(source)), _softmax(logits)
    parts, labels = [], []
    for rows in in_order(source, batch, np.arange(batch)):
        counts = rows["mask"] > 0
        parts.append(np.asarray(run(state.params, state.extra, rows))[counts])
        labels.append(rows["label"][counts])
    return np.concatenate(parts), np.concatenate(labels)


@functools.lru_cache(maxsize=1)  # runs of several seeds ask one after the other, and are of one shape
def _softmax(logits: Logits) -> Callable[..., Any]:
    return jax.jit(lambda params, extra, batch: jax.nn.softmax(logits(params, extra, batch, None, False)[0].astype(jnp.float32)))


def _worst(p: np.ndarray, true: np.ndarray, count: int = 20) -> np.ndarray:
    """The examples whose class is predicted wrongly, those with the smallest probability of the true class first."""
    of_true = p[np.arange(len(true)), true]
    order = np.argsort(of_true, kind="stable")
    return order[p.argmax(1)[order] != true[order]][:count]


def _digits(probability: float) -> float:
    return round(float(probability), 3)


def confusions(title: str, true: np.ndarray, guess: np.ndarray, names: Sequence[str], most: int = 20) -> Table:
    """How often examples of a class (rows) are taken for another (columns); of many classes, the most frequent confusions alone.

    Args:
        title: what the examples are.
        true, guess: classes [N], as places in `names`.
        names: the classes.
        most: how many pairs are listed where there are more than MATRIX classes.
    """
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (true, guess), 1)
    if len(names) <= MATRIX:
        rows = tuple((name, *row.tolist()) for name, row in zip(names, counts, strict=True))
        return Table(f"{title}: confusion matrix", ("true \\ predicted", *names), rows)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    pairs = [divmod(int(at), len(names)) for at in np.argsort(-wrong, axis=None, kind="stable")[:most]]
    rows = tuple((names[t], names[g], int(wrong[t, g]), int(counts[t].sum())) for t, g in pairs if wrong[t, g])
    return Table(f"{title}: the most frequent confusions", ("true", "predicted", "times", "examples of the true class"), rows)


def cross_validated(title: str, p: np.ndarray, true: np.ndarray, names: tuple[str, str]) -> list[Table]:
    """The confusions of a cross-validated classifier of two classes, and the examples on which it is wrong most often.

    Args:
        title: what the examples are.
        p: the probability of the second class [repeats, N], each from a network that has not seen the example.
        true: 1 for an example of the second class, else 0 [N].
        names: the classes.
    """
    truth = true.astype(int)
    guess = (p > 0.5).astype(int)
    wrong = (guess != truth).mean(0)
    worst = [int(i) for i in np.lexsort((-np.abs(p.mean(0) - truth), -wrong))[:20] if wrong[i]]
    rows = tuple((i, names[truth[i]], _digits(wrong[i]), _digits(p[:, i].mean())) for i in worst)
    head = ("example", "true", "share of repeats that are wrong", f"mean probability of {names[1]}")
    mistakes = [Table(f"{title}: the worst mistakes", head, rows)] if rows else []
    return [confusions(f"{title}, all repeats", np.tile(truth, len(p)), guess.ravel(), names), *mistakes]


def over(f: Callable[..., Any], *inputs: np.ndarray, batch: int = 500) -> np.ndarray:
    """f(*inputs) on the host, a batch at a time through one compiled program; the last batch is padded and cut."""
    run, parts = jax.jit(f), []
    for start in range(0, len(inputs[0]), batch):
        rows = [each[start : start + batch] for each in inputs]
        short = batch - len(rows[0])
        full = [np.concatenate([part, np.repeat(part[:1], short, 0)]) if short else part for part in rows]
        parts.append(np.asarray(run(*full))[: len(rows[0])])
    return np.concatenate(parts)
