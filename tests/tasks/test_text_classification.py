"""Answers of a classifier of texts that are longer than what it reads."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

from dlcore.data import tokenizer
from dlcore.data.facts import Facts
from dlcore.data.sets.sentences import SPECIALS
from dlcore.data.words import words
from dlcore.tasks import text_classification
from dlcore.train.step import State

pytestmark = pytest.mark.quick


def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """Always the second class."""
    return jnp.log(jnp.array([[0.25, 0.75]])).repeat(len(batch["tokens"]), 0), extra


def test_an_answer_says_how_much_was_not_read() -> None:
    known = tokenizer.to_facts(words([" a b"], 1, SPECIALS))
    facts = Facts(classes=["-", "+"], tokenizer=known, length=5)
    each = text_classification.predictor(model, facts)
    state = State(jnp.int32(0), {}, {}, {})
    (fits, _), (longer, _) = each.batch(state, ["a b c d", "a b c d, e!"])
    assert "tokens_left_out" not in fits
    assert longer["tokens_left_out"] == 3  # the comma, e, and the exclamation mark
    assert each.line(fits) == "+ 75.0% (- 25.0%)"  # type: ignore[arg-type]
    assert each.line(longer) == "+ 75.0% (- 25.0%)  (the last 3 tokens were left out)"  # type: ignore[arg-type]


def test_intents_in_scope_and_texts_without_one_by_hand() -> None:
    assert text_classification.scope_metrics(None) is None
    by_scope: Any = text_classification.scope_metrics(2)
    logits = jnp.eye(3)[jnp.array([0, 1, 2, 2])]  # right, wrong, right, left out
    batch = {"label": jnp.array([0, 0, 2, 0]), "mask": jnp.array([1.0, 1, 1, 0])}
    found = {name: (float(x.total), float(x.weight)) for name, x in by_scope(logits, batch).items()}
    assert found == {"in_scope_accuracy": (1, 2), "out_of_scope_recall": (1, 1)}
