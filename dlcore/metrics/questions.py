"""Exact match and F1 of answers to questions, by the definition of SQuAD."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Answered(NamedTuple):
    """Scores of a set of answers, from 0 to 1.

    Attributes:
        exact_match: fraction of answers that equal a reference after `normalised`.
        f1: mean overlap of words with the best reference.
    """

    exact_match: float
    f1: float


def normalised(text: str) -> str:
    """Lower-cases a text and removes ASCII punctuation, articles (a, an, the) and extra whitespace.

    Source: `normalize_answer` of SQuAD's evaluate-v1.1.py (Rajpurkar et al. 2016).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """Returns 1 if an answer equals one of its references after `normalised`, else 0.

    Args:
        answer: "" for "the text does not say".
        references: true answers; none for a question that the text does not answer, to which ""
            alone is right (SQuAD 2.0).
    """
    return float(any(normalised(answer) == normalised(each) for each in references or ("",)))


def f1(answer: str, references: Sequence[str]) -> float:
    """Computes the F1 of the words of an answer, as bags, with the reference that fits best.

    Args:
        answer, references: as of `exact_match`.

    Returns:
        The harmonic mean of precision and recall of words after `normalised`, in [0, 1], and 0
        where answer or reference has none, as in SQuAD 1.1; without references `exact_match`.
    """
    if not references:
        return exact_match(answer, references)
    return max(
        _overlap(normalised(answer).split(), normalised(each).split()) for each in references
    )


def _overlap(answer: Sequence[str], reference: Sequence[str]) -> float:
    same = (Counter(answer) & Counter(reference)).total()
    return 2 * same / (len(answer) + len(reference)) if same else 0.0


def scores(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Answered:
    """Computes the means of exact match and F1 over questions.

    Args:
        answers: one for each question.
        references: the true answers of each question, as of `exact_match`.

    Returns:
        The two means.

    Raises:
        ValueError: no questions, or references for a different number of questions.
    """
    if not answers or len(answers) != len(references):
        raise ValueError(
            f"{len(answers)} answers need references for as many questions, not {len(references)}"
        )
    pairs = list(zip(answers, references, strict=True))
    count = len(pairs)
    exact = sum(exact_match(*pair) for pair in pairs) / count
    return Answered(exact, sum(f1(*pair) for pair in pairs) / count)


def best_threshold(
    answerable: Float[np.ndarray, " n"],
    answered: Float[np.ndarray, " n"],
    unanswered: Float[np.ndarray, " n"],
) -> float:
    """Finds the threshold of `answerable` with the largest mean F1; of several the lowest.

    A question is answered if its `answerable` is at least the threshold, else "" is its answer.

    Args:
        answerable: probability that the text answers each question [n], in [0, 1].
        answered: F1 of each question's answer [n].
        unanswered: F1 of "" as the answer [n].

    Returns:
        0 (all questions are answered), one of the values of `answerable`, or 1 (none is answered
        but those with a probability of 1).
    """
    order = np.argsort(answerable, kind="stable")
    values = answerable[order]
    # total[i]: the first i questions are not answered, the others are
    gains = unanswered[order].astype(np.float64) - answered[order]
    total = np.concatenate([[0.0], np.cumsum(gains)])
    thresholds = np.concatenate([[0.0], np.unique(values), [1.0]])
    totals = total[np.searchsorted(values, thresholds)]
    best = totals >= totals.max() - 1e-9 * len(values)  # the order of a sum decides no tie
    return float(thresholds[best].min())
