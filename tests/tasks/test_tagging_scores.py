"""Scores of tagged sentences and baselines, by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.own.tagged import of_words
from dlcore.data.sets import tagged
from dlcore.data.tag_schemes import spans_of
from dlcore.tasks import tagging, tagging_scores
from dlcore.tasks.tagging_scores import Prediction

FACTS = Facts(classes=["O", "B-X", "I-X"], spans=True, intents=[], length=5)


def test_scores_and_baselines_by_hand() -> None:
    sentences = (of_words(["a", "b", "c"], ["B-X", "I-X", "O"]), of_words(["b"], ["O"]))
    source: Any = dataclasses.make_dataclass("Source", ["sentences"])(sentences)
    right = Prediction(["B-X", "I-X", "O"], np.ones(3), spans_of(["B-X", "I-X"]), [0.9])
    wrong = Prediction(["B-X"], np.ones(1), spans_of(["B-X"]), [0.9])
    found = tagging_scores.scored([right, wrong], source, FACTS)
    assert found["precision"] == 0.5
    assert found["recall"] == found["f1_X"] * 1.5 == 1.0
    assert found["calibration_error"] == pytest.approx(0.4)
    # "b" is I-X as often as O, and I-X stood first: "a b" is a span, and so is the "b" alone
    baseline = tagging_scores.majority(source, source, FACTS)
    assert baseline == {
        "accuracy_of_majority": 0.75,
        "f1_of_majority": pytest.approx(2 / 3),
        "f1_X_of_majority": pytest.approx(2 / 3),
        "precision_of_majority": 0.5,
        "recall_of_majority": 1.0,
    }
    assert baseline.keys() == tagging_scores.baselines(FACTS).keys()


def test_all_tags_and_the_intent_make_a_sentence_right() -> None:
    facts = FACTS.with_facts(intents=["p", "q"])
    sentences = tuple(of_words(["a"], ["B-X"], label) for label in "pqp")
    source: Any = dataclasses.make_dataclass("Source", ["sentences"])(sentences)
    span = spans_of(["B-X"])
    found = tagging_scores.scored(
        [
            Prediction(["B-X"], np.ones(1), span, [1.0], "p", 0.7),
            Prediction(["B-X"], np.ones(1), span, [1.0], "p", 0.7),
            Prediction(["O"], np.ones(1), [], [], "p", 0.7),
        ],
        source,
        facts,
    )
    assert found["intent_accuracy"] == pytest.approx(2 / 3)
    assert found["sentence_accuracy"] == pytest.approx(1 / 3)
    assert found["intent_calibration_error"] == pytest.approx(0.7 - 2 / 3)
    assert found.keys() == tagging_scores.declared(facts).keys()
    # "a" is B-X and the intent "p"; of three sentences one has other tags, and one "q"
    other = dataclasses.replace(source, sentences=(*sentences[:2], of_words(["a"], ["O"], "p")))
    assert tagging_scores.majority(source, other, facts) == {
        "accuracy_of_majority": pytest.approx(2 / 3),
        **dict.fromkeys(("f1_of_majority", "f1_X_of_majority"), pytest.approx(0.8)),
        "precision_of_majority": pytest.approx(2 / 3),
        "recall_of_majority": 1.0,
        "intent_accuracy_of_majority": pytest.approx(2 / 3),
        "sentence_accuracy_of_majority": pytest.approx(1 / 3),
    }
    assert tagging.best(facts) == "validation/sentence_accuracy"
    assert tagging.best(FACTS) == "validation/f1"


def test_words_that_training_lacks_have_a_baseline_of_their_own() -> None:
    facts = FACTS.with_facts(spans=False, classes=["N", "V"])
    train: Any = dataclasses.make_dataclass("Source", ["sentences"])(
        (of_words(["a", "b", "b"], ["N", "V", "V"]),)
    )
    sentences = (of_words(["a", "c"], ["N", "V"]), of_words(["c"], ["N"]))
    source: Any = dataclasses.make_dataclass("Source", ["sentences", "arrays"])(
        sentences, {"words": np.array([[4, 1], [1, 0]])}
    )
    assert tagging_scores.majority(train, source, facts) == {
        "accuracy_of_majority": pytest.approx(2 / 3),
        "accuracy_of_unknown_of_majority": 0.5,
    }


def test_own_columns_train_the_same_experiment(tmp_path: Any) -> None:
    file = tmp_path / "a.conll"
    file.write_text("".join(f"Ann{i} B-PER\nruns O\n\n" for i in range(60)))
    splits = tagged.load("wnut17", file, 4)
    assert tagging_scores.types_listed(splits.facts) == ["PER"]
