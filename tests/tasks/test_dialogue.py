"""Answers in dialogues: perplexity by hand, scores of generated answers, and a sample."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.own.dialogues import Message
from dlcore.data.sets import dialogue_answers, dialogues
from dlcore.data.source import arrays
from dlcore.models.gpt import GPT
from dlcore.models.sequence_probability import log_probability
from dlcore.tasks import dialogue
from dlcore.train.model import Model
from tests.models.compiled import apply
from tests.tasks.dialogues import ASSISTANT, SIZE, state, tokens


@pytest.mark.slow
def test_log_probabilities_of_rows_by_hand() -> None:
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]] * 2))
    targets = jnp.array([[1, 2], [0, 0]])
    weight = jnp.array([[1.0, 1.0], [1.0, 0.0]])
    found = log_probability(logits, targets, weight)
    np.testing.assert_allclose(found, [np.log(0.25 * 0.8), np.log(0.5)], rtol=1e-6)


def test_perplexity_is_e_to_the_mean_over_all_answers() -> None:
    model = Model("net", GPT(SIZE), dialogue.inputs)
    evaluator = dialogue.perplexity(model, {})
    collected = {
        "logp": np.log(np.array([0.5**3, 0.25], np.float64)),
        "tokens": np.array([3.0, 1.0]),
    }
    found = evaluator.score(state(), collected, "test")
    assert found["perplexity"] == pytest.approx(2 ** (5 / 4))
    huge = evaluator.score(state(), {**collected, "logp": np.array([-4000.0])}, "test")
    assert huge["perplexity"] == np.inf


def test_messages_of_a_row_are_separated() -> None:
    row = [tokens().special("<|user|>"), *tokens().encode("Hi"), tokens().special("<|turn|>")]
    row += [tokens().special("<|assistant|>"), *tokens().encode("Yes")]
    assert dialogue.messages(tokens(), np.array(row)) == "Hi | Yes"


@pytest.mark.slow
def test_perplexity_of_packed_rows_is_that_of_their_logits() -> None:
    """From rows to the metric, beside a loop over the dialogues one by one."""
    said = [
        [Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "?")],
        [Message("user", "a"), Message("assistant", "bcd")],
        [Message("user", "Bye"), Message("assistant", "So long")],
    ]
    packed = dialogues.rows(tokens(), said, 32)
    assert len(packed["tokens"]) < len(said)  # some row has two dialogues
    model = Model("net", GPT(SIZE), dialogue.inputs)
    evaluator = dialogue.perplexity(model, {})
    source = arrays("some", "1", "test", packed)
    batch = {**source.gather(np.arange(len(source))), "row": np.arange(len(source))}
    collected = {name: np.asarray(x) for name, x in evaluator.collect(state(), batch).items()}
    found = evaluator.score(state(), collected, "test")["perplexity"]
    nats, count = 0.0, 0
    for each in said:
        ids, answer = dialogues.encoded(tokens(), each)
        logits = apply(GPT(SIZE), {"params": state().params["net"]}, jnp.asarray(ids)[None, :-1])
        for row, following, counted in zip(
            np.asarray(logits, np.float64)[0], ids[1:], answer[1:], strict=True
        ):
            if counted:
                nats += np.log(np.exp(row - row.max()).sum()) + row.max() - row[following]
                count += 1
    assert count == (2 + 1) + (3 + 1) + (7 + 1)
    assert found == pytest.approx(np.exp(nats / count), rel=1e-3)


def test_generated_retrieved_and_true_answers_are_scored() -> None:
    end = tokens().special("<|turn|>")
    texts = {"answer": ["a b a", "c d"], "retrieved": ["x", "x"], "reference": ["a b a", "c d"]}
    collected = {
        name: np.array([[*tokens().encode(t), end, 65, 0, 0, 0, 0, 0, 0][:9] for t in each])
        for name, each in texts.items()
    }
    splits: dict[str, Any] = {"validation_answers": None, "test_answers": None}
    evaluator = dialogue.answers(ASSISTANT, splits)  # type: ignore[arg-type]
    found = evaluator.score(state(), collected, "test")
    assert found.keys() == evaluator.metrics.keys()
    assert found["answer_distinct_1"] == pytest.approx(4 / 5)
    assert found["reference_distinct_2"] == 1
    assert found["retrieved_distinct_1"] == 1 / 2
    assert found["retrieved_distinct_2"] == 0


@pytest.mark.slow
def test_a_sample_has_the_contexts_and_the_answers() -> None:
    prompt = dialogue_answers.prompt(tokens(), [], 40)
    padded = np.zeros((1, 40), np.int32)
    padded[0, 40 - len(prompt) :] = prompt
    reference = np.zeros((1, 8), np.int32)
    reference[0, :2] = tokens().encode("no")
    contents = {
        "prompt": padded,
        "padding": np.array([40 - len(prompt)], np.int32),
        "reference": reference,
    }
    source = arrays("some", "1", "test", contents)
    (sample,) = dialogue.samples("Test", ASSISTANT, source)(state(), jax.random.key(0))
    assert sample.title == "Test"
    made = ASSISTANT.generate(state(), contents["prompt"], contents["padding"], jax.random.key(0))
    generated = ASSISTANT.text(np.asarray(made.tokens)[0])
    assert sample.rows == ((tokens().decode(np.array(prompt)), "no", generated),)
