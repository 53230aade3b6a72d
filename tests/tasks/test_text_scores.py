"""Scores of text classifiers by hand, and baselines that read words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets import labelled_texts
from dlcore.samples import Plot, Table
from dlcore.tasks import text_scores
from dlcore.train.step import State

STATE = State(jnp.int32(0), {"net": jnp.zeros(())}, {}, {})


def certain(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """Always the first class, with three quarters."""
    rows = jnp.ones((len(batch["label"]), 1))
    return rows * jnp.log(jnp.array([[0.75, 0.25]])), extra


@pytest.mark.quick
def test_scores_by_hand() -> None:
    p = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]])
    found = text_scores.scores({"label": np.array([0, 1, 1, 0]), "probability": p}, 3)
    assert found["accuracy"] == 0.75
    f1 = (2 * 2 / (2 + 3), 2 * 1 / (2 + 1))  # the third class has no example
    assert found["macro_f1"] == pytest.approx(sum(f1) / 2)
    assert found["lowest_f1"] == pytest.approx(min(f1))
    # bins of one prediction each
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)


def test_a_bag_of_words_knows_words_and_pairs() -> None:
    texts = ["a good film", "good fun", "not good", "a bad film", "bad", "not good at all"]
    label = np.array([1, 1, 0, 0, 0, 0])
    predict = text_scores.bag_of_words(texts * 20, np.tile(label, 20))
    assert predict(["A good film!", "NOT good", "bad"]).tolist() == [1, 0, 0]


@pytest.mark.slow
def test_every_held_out_split_is_scored_beside_its_baselines() -> None:
    splits = labelled_texts.load("sst2", "offline", 12)
    assert set(splits.names()) == {"train", "validation", "test"}
    model, baseline = text_scores.evaluators(certain, splits)
    assert set(model.sources) == set(baseline.sources) == {"validation", "test"}
    share = float((splits.test.arrays["label"] == splits.facts.majority).mean())
    found = baseline.score(STATE, {}, "test")
    assert found["majority_accuracy"] == share
    assert found["bag_of_words_accuracy"] > share + 0.1
    # always one class: its precision is its frequency, its recall 1, and the other class has no F1
    assert found["majority_macro_f1"] == pytest.approx(share / (1 + share))
    assert found["majority_lowest_f1"] == 0
    batch = {name: jnp.asarray(x) for name, x in splits.test.arrays.items()}
    collected = {name: np.asarray(x) for name, x in model.collect(STATE, batch).items()}
    of_first = float((splits.test.arrays["label"] == 0).mean())
    scored = model.score(STATE, collected, "test")
    assert scored["accuracy"] == pytest.approx(of_first)
    assert scored["calibration_error"] == pytest.approx(abs(0.75 - of_first), abs=1e-6)
    assert set(scored) == set(model.metrics)
    assert set(found) == set(baseline.metrics)


def test_samples_have_every_class_and_the_reliability() -> None:
    splits = labelled_texts.load("sst2", "offline", 12)
    draw = text_scores.samples("Test", certain, splits.test, splits.facts.classes)
    shown = draw(STATE, jax.random.key(0))
    by_class = next(each for each in shown if each.title == "Test: by class")
    assert isinstance(by_class, Table)
    assert {row[0] for row in by_class.rows} == set(splits.facts.classes)
    assert isinstance(shown[-1], Plot)
    assert any(each.title == "Test: the worst mistakes" for each in shown)
