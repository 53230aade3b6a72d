"""Tables of confusions and mistakes of classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer, Shaped

from dlcore.metrics.classes import class_scores
from dlcore.samples import Table

# Up to so many classes the whole confusion matrix is shown, else its largest entries.
MATRIX = 20


def digits(probability: float) -> float:
    """Rounds a probability to three decimals, for a table."""
    return round(float(probability), 3)


def confusions(
    title: str,
    true: Integer[np.ndarray, " n"],
    guess: Integer[np.ndarray, " n"],
    names: Sequence[str],
    most: int = 20,
) -> Table:
    """Tabulates how often examples of each class (rows) are predicted as each class (columns).

    Args:
        title: what the examples are.
        true, guess: true and predicted classes, int [N].
        names: of the classes.
        most: largest number of pairs listed where there are more than `MATRIX` classes.

    Returns:
        The confusion matrix; with more than `MATRIX` classes the pairs of a true and a wrong class
        that occur most often.
    """
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (true, guess), 1)
    if len(names) <= MATRIX:
        rows = tuple((name, *row.tolist()) for name, row in zip(names, counts, strict=True))
        return Table(f"{title}: confusion matrix", ("true \\ predicted", *names), rows)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    most_frequent = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(names)) for index in most_frequent]
    rows = tuple(
        (names[t], names[g], int(wrong[t, g]), int(counts[t].sum()))
        for t, g in pairs
        if wrong[t, g]
    )
    return Table(
        f"{title}: the most frequent confusions",
        ("true", "predicted", "times", "examples of the true class"),
        rows,
    )


def by_class(
    title: str,
    true: Integer[np.ndarray, " n"],
    guess: Integer[np.ndarray, " n"],
    names: Sequence[str],
) -> Table:
    """Tabulates precision, recall and F1 of each class, the smallest F1 first.

    Args:
        title: what the examples are.
        true, guess: true and predicted classes, int [N].
        names: of the classes; a class with neither an example nor a prediction is left out.
    """
    found = class_scores(true, guess, len(names))
    numbers = (found.precision, found.recall, found.f1)
    there = np.union1d(true, guess)
    rows = tuple(
        (names[i], *(digits(each[i]) for each in numbers), int(found.examples[i]))
        for i in there[np.argsort(found.f1[there], kind="stable")]
    )
    return Table(f"{title}: by class", ("class", "precision", "recall", "F1", "examples"), rows)


def cross_validated(
    title: str,
    p: Float[np.ndarray, "repeats n"],
    true: Shaped[np.ndarray, " n"],
    names: tuple[str, str],
) -> list[Table]:
    """Tabulates confusions and worst mistakes of a cross-validated classifier of two classes.

    Args:
        title: what the examples are.
        p: probability of the second class, float [repeats, N], each by a network that was not
            trained on the example.
        true: [N], 1 for an example of the second class, else 0.
        names: of the two classes.

    Returns:
        The confusions at a probability of 1/2, summed over the repeats; and, where there are
        mistakes, up to 20 examples in descending order of the fraction of repeats that are wrong.
    """
    truth = true.astype(int)
    guess = (p > 0.5).astype(int)
    wrong = (guess != truth).mean(0)
    worst = [int(i) for i in np.lexsort((-np.abs(p.mean(0) - truth), -wrong))[:20] if wrong[i]]
    rows = tuple((i, names[truth[i]], digits(wrong[i]), digits(p[:, i].mean())) for i in worst)
    wrong_name, mean_name = "fraction of repeats that are wrong", f"mean probability of {names[1]}"
    head = ("example", "true", wrong_name, mean_name)
    mistakes = [Table(f"{title}: the worst mistakes", head, rows)] if rows else []
    return [
        confusions(f"{title}, all repeats", np.tile(truth, len(p)), guess.ravel(), names),
        *mistakes,
    ]
