"""F1 of spans against counts by hand, and against seqeval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.data.tag_schemes import Span, spans_of
from dlcore.metrics.spans import span_f1

pytestmark = pytest.mark.quick


def test_f1_by_hand() -> None:
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    overall, by_type = span_f1([spans_of(t) for t in true], [spans_of(t) for t in predicted])
    assert overall == (0.5, 0.5, 0.5, 2, 2, 1)
    assert {kind: each.f1 for kind, each in by_type.items()} == {"MISC": 0.0, "PER": 1.0}


def test_precision_and_recall_differ_by_hand() -> None:
    true = [[Span(0, 1, "A"), Span(2, 4, "B")], [Span(0, 3, "A")]]
    predicted = [[Span(0, 1, "A"), Span(2, 4, "A")], [Span(0, 3, "A"), Span(5, 6, "B")]]
    overall, by_type = span_f1(true, predicted)
    assert (overall.precision, overall.recall) == (2 / 4, 2 / 3)
    assert by_type["A"][:3] == (2 / 3, 1.0, 0.8)
    assert by_type["B"] == (0.0, 0.0, 0.0, 1, 1, 0)
    nothing, none = span_f1([[]], [[]])
    assert (nothing.f1, none) == (0.0, {})


def test_seqeval_gives_the_same() -> None:
    """seqeval.json holds random tags, also ill-formed ones, with the values that
    `classification_report` of seqeval 1.2.2 gave in its default mode, that of conlleval.
    """
    cases = json.loads(Path(__file__).with_name("seqeval.json").read_text("utf-8"))
    for case in cases:
        true, predicted = ([spans_of(t.split()) for t in case[k]] for k in ("true", "predicted"))
        overall, by_type = span_f1(true, predicted)
        found = {"micro avg": overall, **by_type}
        assert found.keys() == case["scores"].keys()
        for name, numbers in case["scores"].items():
            assert found[name][:3] == pytest.approx(numbers, abs=1e-12), name
