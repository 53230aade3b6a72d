"""Classes or numbers of a user's own rows of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.own import columns, rows
from dlcore.data.own.rows import Row, RowValue
from dlcore.data.source import arrays
from dlcore.samples import Table
from dlcore.tasks.class_answers import (
    ClassOptions,
    NumberOptions,
    RowAnswer,
    answer_of,
    line_of,
)
from dlcore.tasks.tabular import answers
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class RowPredictor:
    """Predicts the classes or numbers of rows of a table.

    Attributes:
        model: computes logits [batch, classes], or standardised numbers [batch], of `x`.
        facts: of the training data, see `dlcore.data.own.tables.splits_of`.
        options: flags of `dlcore predict`.
        rows: batch size; with the batch size of the evaluation, the predictions for a row are
            bitwise equal to those of the evaluation.
    """

    model: Logits
    facts: Facts
    options: ClassOptions | NumberOptions
    rows: int
    reads = "table"

    @property
    def _names(self) -> list[str]:
        return [each["name"] for each in self.facts.columns if each["kind"] != "ignored"]

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Row]:
        """Reads the rows of CSV, TSV or Parquet files, and of lines of CSV; see `rows.read`.

        Raises:
            UsageError: see `rows.read`, or a cell that is not a number in a column of numbers.
        """
        found = rows.read(files, text, self._names)
        self._encoded(found)  # so that a cell that is no number is refused with its file
        return found

    def item(self, value: RowValue) -> Row:
        """Converts {column: cell}, or cells in the order of the columns, to a row.

        The columns are those of the inputs; other keys are ignored. None and NaN: no value.

        Raises:
            UsageError: a missing column, or a sequence of another length.
        """
        return rows.of_value(value, self._names)

    def _encoded(self, items: Sequence[Row]) -> columns.Encoded:
        cells = {name: [row.values[name] for row in items] for name in self._names}
        return columns.encode(self.facts.columns, cells, [row.where for row in items])

    def batch(self, state: State, items: Sequence[Row]) -> list[Answer]:
        """Answers a batch of rows.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            The answer and a table of each row. The answer has "class", "probability" and "classes"
            {name: probability} of the `options.top` most likely, or "number", in the target's unit;
            where there are any also "missing", the columns without a value, and "unknown",
            {column: category} of categories that training lacks.

        Raises:
            UsageError: a cell that is not a number in a column of numbers.
        """
        encoded = self._encoded(items)
        source = arrays("rows", "0", "rows", {"x": encoded.x})
        found: list[Answer] = []
        for row, answer in enumerate(answers(self.model, self.facts, state, source, self.rows)):
            made = self._answer(answer)
            values = made["classes"] if "classes" in made else {self.facts.target: made["number"]}
            listed = tuple(values.items())
            if encoded.missing[row]:
                made["missing"] = encoded.missing[row]
            if encoded.unknown[row]:
                made["unknown"] = encoded.unknown[row]
            found.append((made, Table(items[row].where, ("predicted", "value"), listed)))
        return found

    def _answer(self, answer: np.ndarray) -> RowAnswer:
        if isinstance(self.options, ClassOptions):
            return {**answer_of(np.exp(answer), self.facts.classes, self.options.top)}
        return {"number": float(answer)}

    def line(self, answer: RowAnswer) -> str:
        """Formats an answer as text, with notes on missing values and unknown categories."""
        number = f"{self.facts.target} {answer['number']:.6g}" if "number" in answer else ""
        notes = [f"no value of {', '.join(answer['missing'])}"] if "missing" in answer else []
        for column, category in answer.get("unknown", {}).items():
            notes.append(f"{column} {category!r} is unknown")
        return "; ".join([number or line_of(answer), *notes])


def predictor(model: Logits, facts: Facts, rows: int) -> RowPredictor:
    """Returns a predictor with default options; the arguments are those of `RowPredictor`."""
    options = ClassOptions() if facts.task == "classes" else NumberOptions()
    return RowPredictor(model, facts, options, rows)
