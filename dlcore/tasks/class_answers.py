"""Answers of classifiers to a user's examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Float

from dlcore.bounds import PositiveInt

ClassAnswer = TypedDict(
    "ClassAnswer", {"class": str, "probability": float, "classes": dict[str, float]}
)
"""The most likely class, its probability, and the probabilities of the listed classes."""

RowAnswer = TypedDict(
    "RowAnswer",
    {
        "class": str,
        "probability": float,
        "classes": dict[str, float],
        "number": float,
        "missing": list[str],
        "unknown": dict[str, str],
        "networks": int,
        "deviation": float,
    },
    total=False,
)
"""The answer to a row of a table: the keys of a `ClassAnswer`, or `number`; and where they apply
`missing`, the columns without a value, `unknown`, {column: category that training lacks},
`networks`, how many were averaged, and `deviation`, the standard deviation of their answers."""


@dataclasses.dataclass(frozen=True)
class ClassOptions:
    """Flags of `dlcore predict` for a classifier."""

    top: PositiveInt = 5
    """number of classes that are listed, the most likely first"""


@dataclasses.dataclass(frozen=True)
class NumberOptions:
    """Flags of `dlcore predict` for numbers: none."""


def answer_of(p: Float[np.ndarray, " classes"], classes: Sequence[str], top: int) -> ClassAnswer:
    """Formats the probabilities of one example.

    Args:
        p: probabilities [classes].
        classes: names of the classes.
        top: largest number of classes that are listed, at least 1.

    Returns:
        The most likely class, its probability, and the listed classes in descending order of
        probability; probabilities are rounded to six decimals.
    """
    order = np.argsort(-p, kind="stable")[:top]
    listed = {classes[i]: round(float(p[i]), 6) for i in order}
    name = classes[order[0]]
    return {"class": name, "probability": listed[name], "classes": listed}


def line_of(answer: ClassAnswer | RowAnswer) -> str:
    """Formats an answer as text: the most likely class, and other listed classes in brackets.

    Each is followed by its probability in percent, with one decimal.

    Args:
        answer: with `classes`; a `RowAnswer` with `number` has none, and raises KeyError.
    """
    first, *rest = (f"{name} {p:.1%}" for name, p in answer["classes"].items())
    return f"{first} ({', '.join(rest)})" if rest else first
