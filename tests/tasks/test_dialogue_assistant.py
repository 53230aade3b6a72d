"""An assistant: its parameters, its answers in any batch, and the tokens of its conversations."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.models.gpt_batch import Decoding
from dlcore.tasks import dialogue_assistant
from dlcore.tasks.conversation import Conversation, Sampling
from dlcore.train.predictor import with_options
from tests.tasks.dialogues import ASSISTANT, state, tokens


@pytest.mark.slow
def test_a_tuned_assistant_answers_and_talks_with_its_merged_parameters() -> None:
    other = jax.tree.map(lambda x: -x, state().params["net"])
    both = dataclasses.replace(state(), params={"net": other, "changes": {}})
    merged = lambda params: jax.tree.map(lambda x: -x, params["net"])  # noqa: E731
    tuned = dataclasses.replace(ASSISTANT, merged=merged)
    prompt, padding = jnp.full((1, 8), 65), jnp.zeros(1, jnp.int32)
    expected, found, plain = (
        each.generate(its, prompt, padding, jax.random.key(0))
        for each, its in ((ASSISTANT, state()), (tuned, both), (ASSISTANT, both))
    )
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    assert (np.asarray(plain.tokens) != np.asarray(expected.tokens)).any()
    parameters = dialogue_assistant.text_model(tuned).parameters(both)
    jax.tree.map(np.testing.assert_array_equal, parameters, state().params["net"])
    assert dialogue_assistant.text_model(ASSISTANT).parameters(state()) is state().params["net"]


@pytest.mark.slow
def test_predicted_answers_do_not_depend_on_the_batch() -> None:
    predictor = dialogue_assistant.predictor(ASSISTANT)
    items = predictor.items([], ["Hello", "One tea, please", "No"])
    together = predictor.batch(state(), items)
    for item, (answer, _) in zip(items, together, strict=True):
        ((alone, sample),) = predictor.batch(state(), [item])
        assert alone["text"] == answer["text"]
        assert alone["log_probability"] == pytest.approx(answer["log_probability"], abs=1e-3)
        assert json.dumps(answer)
        assert sample.title == "Answer"
    for text, message in ((" ", "an empty message"), ("a" * 60, "this model reads 40")):
        with pytest.raises(UsageError, match=message):
            predictor.items([], [text])


@pytest.mark.slow
def test_the_flags_of_length_are_those_of_the_decoding() -> None:
    options = dialogue_assistant.AnswerOptions(min_tokens=3, shorten_by=1e6)
    predictor = with_options(dialogue_assistant.predictor(ASSISTANT), options)
    ((name, prompt),) = predictor.items([], ["Hello"])
    ((answer, _),) = predictor.batch(state(), [(name, prompt)])
    how = Decoding(0.0, min_tokens=3, shorten_by=1e6)
    expected = dataclasses.replace(ASSISTANT, decoding=how).generate(
        state(), jnp.asarray(prompt)[None], jnp.zeros(1, jnp.int32), jax.random.key(1)
    )
    assert int(expected.lengths[0]) == 3
    assert answer["text"] == ASSISTANT.text(np.asarray(expected.tokens)[0])
    alone = with_options(predictor, dialogue_assistant.AnswerOptions(shorten_from=2))
    with pytest.raises(UsageError, match="give --shorten-by, too"):
        alone.batch(state(), [(name, prompt)])


def test_a_conversation_has_the_tokens_of_the_template() -> None:
    model = dialogue_assistant.text_model(ASSISTANT)
    talking = Conversation(model, state(), Sampling(max_tokens=3, temperature=0.0))
    special = tokens().special
    talking.prompt("Hi")
    hi, begin = tokens().encode("Hi").tolist(), [special("<|end|>"), special("<|user|>")]
    after = [special("<|turn|>"), special("<|assistant|>")]
    assert talking.tokens == [*begin, *hi, *after]
    list(talking.answer())
    answered = talking.tokens[len(begin) + len(hi) + len(after) :]
    ended = bool(answered) and answered[-1] == special("<|turn|>")
    talking.prompt("Hi")
    closing = [] if ended else [special("<|turn|>")]
    expected = [*begin, *hi, *after, *answered, *closing, special("<|user|>"), *hi, *after]
    assert talking.tokens == expected
