"""An assistant: its parameters, its answers in any batch, and the tokens of its conversations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.own.dialogues import Message
from dlcore.data.sets import dialogue_answers
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Answered, Input, Unread
from dlcore.export.model import TrainedModel
from dlcore.models.gpt_batch import Decoding
from dlcore.tasks import dialogue_assistant
from dlcore.tasks.conversation import Conversation, Sampling
from dlcore.train.predictor import with_options
from tests.tasks.dialogues import ASSISTANT, state, tokens

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("flags", [{}, {"temperature": 1.0, "top_k": 50}])
def test_predicted_answers_do_not_depend_on_the_batch(flags: dict[str, float]) -> None:
    options = dialogue_assistant.AnswerOptions(**flags)  # type: ignore[arg-type]
    predictor = with_options(dialogue_assistant.predictor(ASSISTANT), options)
    items = predictor.items([], ["Hello", "One tea, please", "No"])
    together = predictor.batch(state(), items)
    for item, (answer, _) in zip(items, together, strict=True):
        ((alone, sample),) = predictor.batch(state(), [item])
        assert alone["text"] == answer["text"]
        assert alone["log_probability"] == pytest.approx(answer["log_probability"], abs=1e-3)
        assert json.dumps(answer)
        each = answer["log_probabilities"]
        assert isinstance(each, list)
        assert sum(each) == pytest.approx(answer["log_probability"])
        assert max(each) <= 0
        assert sample.title == "Answer"
    for text, message in ((" ", "an empty message"), ("a" * 60, "this model reads 40")):
        with pytest.raises(UsageError, match=message):
            predictor.items([], [text])


def test_an_answer_leaves_space_for_a_message() -> None:
    with pytest.raises(UsageError, match="leave no space for a message in a context of"):
        dataclasses.replace(ASSISTANT, longest=ASSISTANT.size.context)


def test_one_likeliest_token_is_the_greedy_answer() -> None:
    predictor = dialogue_assistant.predictor(ASSISTANT)
    (prompt,) = predictor.items([], ["Hello"])
    one = dialogue_assistant.AnswerOptions(temperature=1.0, top_k=1)
    found, greedy = (
        each.batch(state(), [prompt])[0][0]["text"]
        for each in (with_options(predictor, one), predictor)
    )
    assert found == greedy


def test_the_flags_of_length_are_those_of_the_decoding() -> None:
    options = dialogue_assistant.AnswerOptions(min_tokens=3, shorten_by=1e6)
    predictor = with_options(dialogue_assistant.predictor(ASSISTANT), options)
    (prompt,) = predictor.items([], ["Hello"])
    ((answer, _),) = predictor.batch(state(), [prompt])
    how = Decoding(0.0, min_tokens=3, shorten_by=1e6)
    expected = dataclasses.replace(ASSISTANT, decoding=how).generate(
        state(), jnp.asarray(prompt.tokens)[None], jnp.zeros(1, jnp.int32), jax.random.key(1)
    )
    assert int(expected.lengths[0]) == 3
    assert answer["text"] == ASSISTANT.text(np.asarray(expected.tokens)[0])
    alone = with_options(predictor, dialogue_assistant.AnswerOptions(shorten_from=2))
    with pytest.raises(UsageError, match="give --shorten-by, too"):
        alone.batch(state(), [prompt])


def entry(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_dialogues_to_train_on_are_answered_after_the_last_message_of_the_user(
    tmp_path: Path,
) -> None:
    predictor = dialogue_assistant.predictor(ASSISTANT)
    short = [entry("user", "Hi"), entry("assistant", "Yes?"), entry("user", "Tea")]
    long = [entry("user", "a" * 30), *short]
    rows: list[object] = [
        {"messages": [*short, entry("assistant", "Here."), entry("assistant", "Bye.")]},
        {"text": "Hi"},
        {"messages": [entry("assistant", "Hello")]},
        {"messages": [entry("bot", "Hello")]},
        {"messages": long, "reward": 1},
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n\n".join(map(json.dumps, rows)))
    first, nobody, bot, last, text = answers.answers(
        predictor, state(), answers.inputs_in(predictor, file)
    )
    assert isinstance(first, Answered)
    assert isinstance(last, Answered)
    assert (first.where, first.answer["prompt"]) == ({"file": str(file), "line": 1}, "Tea")
    context = [Message(each["role"], each["content"]) for each in short]  # type: ignore[arg-type]
    whole = dialogue_answers.prompt(tokens(), context, 100).tolist()
    assert predictor.item(short).tokens.tolist() == whole
    assert "tokens_left_out" not in first.answer
    # 31 tokens of the first message, and the one of its role
    count = len(whole) + 32 - 40
    assert predictor.item(long).tokens.tolist()[-len(whole) + 1 :] == whole[1:]
    assert last.answer["tokens_left_out"] == count
    assert predictor.line(last.answer).endswith(f"first {count} tokens were left out)")
    for each, message in (
        (nobody, "no message has the role user: there is nothing to answer"),
        (bot, "message 1 has the role 'bot'"),
        (text, f"{file}, line 3: there is no list `messages`"),
    ):
        assert isinstance(each, Unread)
        assert message in each.error
    with pytest.raises(UsageError, match="a message of 65 tokens, and this model reads 40"):
        predictor.item([*short, entry("user", "a" * 61)])
    file.write_text('{"text": "Hi"}\n')
    (plain,) = answers.inputs_in(predictor, file)
    assert isinstance(plain, Input)
    assert plain.text == "Hi"


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


def test_a_message_longer_than_the_context_keeps_the_template() -> None:
    model = dialogue_assistant.text_model(ASSISTANT)
    talking = Conversation(model, state(), Sampling(max_tokens=3, temperature=0.0))
    special = tokens().special
    context = model.decoder.context
    assert context
    user, after = special("<|user|>"), [special("<|turn|>"), special("<|assistant|>")]
    fits = context - 1 - 3
    assert talking.prompt("a" * fits) == (0, 1)  # the start token makes room
    for text, lost in (("a" * fits, 0), ("a" * fits + "b" * 5, 5)):
        talking.reset()
        assert talking.prompt(text) == (lost, 1)
        assert talking.tokens == [user, *tokens().encode(text).tolist()[lost:], *after]
        assert len(talking.tokens) == context - 1
    list(talking.answer())
    before = len(talking.tokens)
    assert talking.prompt("c" * (fits + 2)) == (2, before)
    assert talking.tokens[0] == user


def test_from_python_a_list_of_messages_is_one_dialogue(tmp_path: Path) -> None:
    experiment = SimpleNamespace(predictor=dialogue_assistant.predictor(ASSISTANT))
    opened: Any = SimpleNamespace(experiment=experiment, state=state(), folder=tmp_path)
    model = TrainedModel(opened)
    short = [entry("user", "Hi"), entry("assistant", "Yes?"), entry("user", "Tea")]
    one = model(short)
    assert one["prompt"] == "Tea"
    several = model([short, short[:1]])
    assert [each["prompt"] for each in several] == ["Tea", "Hi"]
    assert several[0]["text"] == one["text"]
    with pytest.raises(UsageError, match="no message has the role user"):
        model([entry("assistant", "Hello")])
