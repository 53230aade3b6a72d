"""Exact match and F1: by hand, and against a direct reading of SQuAD's definition."""

from __future__ import annotations

import random
import re
import string

import numpy as np
import pytest

from dlcore.metrics import questions

pytestmark = pytest.mark.quick


def test_by_hand() -> None:
    assert questions.normalised(" The  Cat's, an owl; A-Team ") == "cats owl ateam"
    assert questions.exact_match("the Denver Broncos!", ["Carolina", "Denver Broncos"]) == 1
    assert questions.exact_match("Denver", ["Denver Broncos"]) == 0
    # two of the three words are among the two of the reference: 2 * (2/3) * 1 / (2/3 + 1)
    assert questions.f1("old Denver Broncos", ["Denver Broncos"]) == pytest.approx(0.8)
    assert questions.f1("old Denver Broncos", ["x", "old Denver Broncos"]) == 1
    assert questions.f1("red red blue", ["red"]) == pytest.approx(0.5)  # a word counts once
    assert questions.f1("tree", ["bush"]) == 0


def test_no_answer_is_right_where_there_is_none() -> None:
    assert questions.exact_match("", []) == questions.f1("", []) == 1
    assert questions.exact_match("Paris", []) == questions.f1("Paris", []) == 0
    assert questions.f1("", ["Paris"]) == 0
    assert questions.scores(["", "Paris", "in Paris"], [[], [], ["Paris"]]) == pytest.approx(
        (1 / 3, (1 + 0 + 2 / 3) / 3)
    )
    with pytest.raises(ValueError, match="2 answers need references"):
        questions.scores(["a", "b"], [["a"]])


def test_the_threshold_with_the_largest_f1_is_that_of_a_search() -> None:
    random_state = np.random.default_rng(0)
    for _ in range(30):
        answerable = random_state.choice([0.0, 0.2, 0.4, 0.7, 1.0], 7)
        answered, unanswered = random_state.choice([0.0, 0.5, 1.0], (2, 7))
        scores = {
            t: np.where(answerable >= t, answered, unanswered).mean()
            for t in (0.0, 0.2, 0.4, 0.7, 1.0)
        }
        best = max(scores.values())
        expected = min(t for t, score in scores.items() if score > best - 1e-9)
        assert questions.best_threshold(answerable, answered, unanswered) == expected
    never = questions.best_threshold(np.array([0.3, 0.9]), np.zeros(2), np.ones(2))
    assert never == 1


def independent(answer: str, reference: str) -> tuple[float, float]:
    """The definition, character by character and word by word."""

    def words(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return [w for w in re.sub(r"\b(a|an|the)\b", " ", kept).split(" ") if w.strip()]

    found, true = words(answer), words(reference)
    left, same = list(true), 0
    for word in found:
        if word in left:
            left.remove(word)
            same += 1
    if not same:
        return float(found == true), 0.0
    precision, recall = same / len(found), same / len(true)
    return float(found == true), 2 * precision * recall / (precision + recall)


def test_equal_an_independent_computation() -> None:
    draw = random.Random(0)
    vocabulary = ["the", "A", "an", "Owl", "owl", "cat's", "cats", "É", "-", "10%", "10"]
    for _ in range(300):
        answer, *references = (
            " ".join(draw.choices(vocabulary, k=draw.randint(1, 5))) for _ in range(3)
        )
        each = [independent(answer, reference) for reference in references]
        assert questions.exact_match(answer, references) == max(exact for exact, _ in each)
        assert questions.f1(answer, references) == pytest.approx(max(f1 for _, f1 in each))
