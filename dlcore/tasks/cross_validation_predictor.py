"""Predictions of cross-validated networks for a user's rows: the mean over all networks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import Array

from dlcore.bounds import FLOAT_MAX
from dlcore.data.facts import Facts
from dlcore.data.own import columns, rows
from dlcore.data.own.rows import Row
from dlcore.data.sets.tables import Folds
from dlcore.errors import UsageError
from dlcore.samples import Table
from dlcore.tasks.class_answers import (
    ClassOptions,
    NumberOptions,
    RowAnswer,
    answer_of,
    line_of,
)
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Extra, Params, State


@dataclasses.dataclass(frozen=True)
class FoldsPredictor:
    """Predicts rows of a table by the mean of the networks of all folds.

    Attributes:
        model: computes outputs [batch, networks] of `x` [batch, features]: logits of the second
            class, or standardised numbers.
        folds: the statistics of each fold.
        facts: of the training data: `features`, the names of the columns, and two `classes`, or
            none for numbers.
        options: flags of `dlcore predict`.
    """

    model: Model
    folds: Folds
    facts: Facts
    options: ClassOptions | NumberOptions
    reads = "table"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Row]:
        """Reads the rows of CSV, TSV or Parquet files, and of lines of CSV; see `rows.read`.

        Raises:
            UsageError: see `rows.read`; or a cell that is empty or not a finite number.
        """
        found = rows.read(files, text, self.facts.features)
        self._numbers(found)  # so that a cell that is no number is refused with its file
        return found

    def item(self, value: rows.RowValue) -> Row:
        """Converts {column: number}, or numbers in the order of the columns, to a row.

        Raises:
            UsageError: a missing column, or a sequence of another length. Cells that are no
                numbers are refused by `batch`.
        """
        return rows.of_value(value, self.facts.features)

    def _numbers(self, items: Sequence[Row]) -> np.ndarray:
        """The cells as float32 [items, features].

        Raises:
            UsageError: a cell that is not a number, empty, or too large for float32.
        """
        found = np.zeros((len(items), len(self.facts.features)), np.float32)
        for row, item in enumerate(items):
            for at, name in enumerate(self.facts.features):
                value = columns.number(item.values[name])
                if value is None:
                    raise UsageError(
                        f"{item.where}: {item.values[name] or 'nothing'!r} in column {name!r} is no"
                        " finite number: the networks have learned from rows without missing values"
                    )
                if abs(value) > FLOAT_MAX:
                    raise UsageError(f"{item.where}: {value:g} in column {name!r} is too large")
                found[row, at] = value
        return found

    def batch(self, state: State, items: Sequence[Row]) -> list[Answer]:
        """Answers a batch of rows.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            The answer and a table of each row. The answer has "class", "probability" and "classes"
            {name: probability}, of the networks' mean probability, or "number", their mean output
            in the units of the target; "networks", their number; and "deviation", the standard
            deviation over them of the number or of the probability of the second class.

        Raises:
            UsageError: a cell that is empty or not a finite number.
        """
        batch = {"x": self._numbers(items)}
        y = np.asarray(_compiled(self.model)(state.params, state.extra, batch), np.float64)
        if self.facts.classes:
            each = 1 / (1 + np.exp(-y))
        else:
            each = y * self.folds.y_scale + self.folds.y_centre
        found: list[Answer] = []
        for item, values in zip(items, each, strict=True):
            mean = float(values.mean())
            made: RowAnswer = {"number": mean}
            if isinstance(self.options, ClassOptions):
                made = {
                    **answer_of(np.array([1 - mean, mean]), self.facts.classes, self.options.top)
                }
            listed = tuple(made.get("classes", {"number": mean}).items())
            made["networks"], made["deviation"] = len(values), float(values.std())
            title = f"{item.where}: the mean of {len(values)} networks"
            found.append((made, Table(title, ("predicted", "value"), listed)))
        return found

    def line(self, answer: RowAnswer) -> str:
        """Formats an answer as text: the mean prediction, then the spread over the networks.

        The prediction is the number, or the listed classes with their probabilities in percent.
        Then come the number of networks, and the standard deviation over them of the number, or of
        the probability of the second class in percent.
        """
        is_number = "number" in answer
        value = f"{answer['number']:.6g}" if is_number else line_of(answer)
        deviation = f"{answer['deviation']:.3g}" if is_number else f"{answer['deviation']:.1%}"
        return f"{value}; the mean of {answer['networks']} networks, deviation {deviation}"


@functools.lru_cache(maxsize=1)
def _compiled(model: Model) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], Array]:
    return jax.jit(lambda params, extra, batch: model(params, extra, batch, None, False)[0])


def predictor(model: Model, folds: Folds, facts: Facts) -> FoldsPredictor:
    """Returns the predictor of cross-validated networks.

    Args:
        model, folds, facts: see `FoldsPredictor`.
    """
    options = ClassOptions() if facts.classes else NumberOptions()
    return FoldsPredictor(model, folds, facts, options)
