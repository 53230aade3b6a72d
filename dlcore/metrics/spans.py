"""Precision, recall and F1 of whole spans, by type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dlcore.data.tag_schemes import Span


class Scores(NamedTuple):
    """Counts of spans and what follows from them; a ratio of 0 to 0 is 0.

    Attributes:
        precision, recall, f1: in [0, 1].
        true, predicted, correct: numbers of spans.
    """

    precision: float
    recall: float
    f1: float
    true: int
    predicted: int
    correct: int


def scores(true: int, predicted: int, correct: int) -> Scores:
    """Computes precision, recall and F1 from the numbers of true, predicted and correct spans."""
    precision = correct / predicted if predicted else 0.0
    recall = correct / true if true else 0.0
    total = precision + recall
    f1 = 2 * precision * recall / total if total else 0.0
    return Scores(precision, recall, f1, true, predicted, correct)


def span_f1(
    true: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]
) -> tuple[Scores, dict[str, Scores]]:
    """Scores predicted spans; one is correct if start, end and type are those of a true span.

    Args:
        true, predicted: the spans of each sequence; equal spans of a sequence count once.

    Returns:
        Scores over all spans (micro average), and by type, sorted by name.

    Raises:
        ValueError: different numbers of sequences.
    """
    counts: dict[str, list[int]] = {}
    for ours, theirs in zip(true, predicted, strict=True):
        both = {*ours} & {*theirs}
        for column, spans in enumerate(({*ours}, {*theirs}, both)):
            for span in spans:
                counts.setdefault(span.type, [0, 0, 0])[column] += 1
    by_type = {kind: scores(*counts[kind]) for kind in sorted(counts)}
    totals = [sum(count[column] for count in counts.values()) for column in range(3)]
    return scores(*totals), by_type
