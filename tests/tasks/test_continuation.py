"""A generator of tokens, bound to a model: what it is given, and what has defaults."""

from __future__ import annotations

import dataclasses
import functools
import json
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.characters import Vocabulary
from dlcore.errors import UsageError
from dlcore.export import answers as answering
from dlcore.export.answers import Answered, Input, Unread
from dlcore.models.gpt import GPT, Size
from dlcore.models.gpt_batch import Decoding, generate_batch
from dlcore.models.gpt_generation import generate
from dlcore.tasks import continuation
from dlcore.tasks.language_modelling import decoded, samples
from dlcore.train.predictor import with_options
from dlcore.train.step import State
from tests.models.compiled import apply
from tests.models.test_gpt import params

STATE: Any = SimpleNamespace(params={"net": "the parameters"})


def test_length_and_temperature_are_those_of_the_call_or_else_the_bound_ones() -> None:
    calls: list[tuple[Any, ...]] = []
    continued = continuation.bound(
        lambda *words: calls.append(words),  # type: ignore[arg-type, return-value]
        "the size",
        "net",
        30,
        0.8,
        5,
    )
    continued(STATE, "prompt", "key")
    continued(STATE, "prompt", "key", 7)
    continued(STATE, "prompt", "key", 7, 0.0, 1, 0.9)
    begin = ("the size", "the parameters", "prompt", "key")
    assert calls == [(*begin, 30, 0.8, 5), (*begin, 7, 0.8, 5), (*begin, 7, 0.0, 1, 0.9)]


def test_documents_that_follow_one_another_are_parted() -> None:
    tokens = np.array([1, 2, 0, 3, 0, 0, 9])  # an index beyond the vocabulary is its last token
    assert decoded(SYMBOLS, tokens, 0) == "ab\n\nc\n\n\n\ni"
    assert decoded(SYMBOLS, tokens[:2], 0) == decoded(SYMBOLS, tokens[:2]) == "ab"
    assert decoded(SYMBOLS, tokens[:0], 0) == ""


def test_a_prompt_that_does_not_fit_is_refused_before_training() -> None:
    generate: Any = None
    with pytest.raises(UsageError, match="--prompt has 4 tokens, and with a continuation 3 fit"):
        samples("Text", generate, SYMBOLS, "abc", 0, 3)
    samples("Text", generate, SYMBOLS, "abc", 0, 4)


SYMBOLS = Vocabulary("\nabcdefghij")
SIZE = Size(vocabulary=11, context=12, layers=1, heads=2, width=8, rotary=True)


@functools.cache
def state() -> State:
    return State(jnp.zeros((), jnp.int32), {"net": params(SIZE)}, {}, {})


def answers(*prompts: str, start: int | None = None, **how: Any) -> list[dict[str, Any]]:
    """What a predictor with these flags answers."""
    made = continuation.predictor(
        continuation.bound(generate, SIZE, "net", 4), SYMBOLS, SIZE.context - 1, start
    )
    each = with_options(made, continuation.PromptOptions(**{"tokens": 4, "seed": 3, **how}))
    return [dict(answer) for answer, _ in each.batch(state(), each.items([], prompts))]


@pytest.mark.slow
def test_an_empty_prompt_is_said_to_be_empty() -> None:
    with pytest.raises(UsageError, match="an empty prompt: this model continues at least 1 token"):
        answers("")


def test_another_generator_is_not_replaced_by_that_of_batches() -> None:
    def repeated(net: Size, params: Any, prompt: jax.Array, *_: Any) -> jax.Array:
        return jnp.concatenate([prompt, prompt], axis=1)

    made = continuation.predictor(continuation.bound(repeated, SIZE, "net", 4), SYMBOLS)
    assert [answer["text"] for answer, _ in made.batch(state(), made.items([], ["abc"]))] == ["abc"]


@pytest.mark.slow
def test_prompts_in_a_batch_have_the_draws_of_generate_and_their_log_probabilities() -> None:
    found = answers("abc", "dj", "abc", temperature=1.2)
    assert json.loads(json.dumps(found)) == found
    for prompt, answer in zip(("abc", "dj", "abc"), found, strict=True):
        tokens = SYMBOLS.encode(prompt)
        key = jax.random.key(3)
        whole = generate(SIZE, params(SIZE), jnp.asarray(tokens)[None], key, 4, 1.2)
        assert answer["text"] == SYMBOLS.decode(np.asarray(whole)[0, len(tokens) :])
        logits = apply(GPT(SIZE), {"params": params(SIZE)}, whole[:, :-1])
        own = np.asarray(jax.nn.log_softmax(logits, -1))[0, len(tokens) - 1 :]
        expected = own[np.arange(4), np.asarray(whole)[0, len(tokens) :]]
        np.testing.assert_allclose(answer["log_probabilities"], expected, atol=1e-4)
        assert answer["log_probability"] == pytest.approx(expected.sum(), abs=1e-3)


@pytest.mark.nightly
def test_restrictions_penalties_and_ends_are_those_of_a_batch() -> None:
    how = {"temperature": 1.2, "min_p": 0.3, "repetition_penalty": 1.5}
    prompt, padding = jnp.asarray([SYMBOLS.encode("abc")]), jnp.zeros(1, jnp.int32)
    run = SIZE, params(SIZE), prompt, padding, jax.random.key(3)[None], 4
    made = np.asarray(generate_batch(*run, -1, Decoding(**how)).tokens)[0]
    assert answers("abc", **how)[0]["text"] == SYMBOLS.decode(made)
    end = int(made[2])
    started = np.asarray([end, *SYMBOLS.encode("abc")])
    run = SIZE, params(SIZE), jnp.asarray(started)[None], padding, jax.random.key(3)[None], 4
    made = np.asarray(generate_batch(*run, end, Decoding(**how)).tokens)[0]
    kept = made[: next(iter(np.flatnonzero(made == end)), 4)]
    (answer,) = answers("abc", start=end, end=True, **how)
    assert answer["text"] == SYMBOLS.decode(kept)
    assert len(answer["log_probabilities"]) == min(4, len(kept) + 1)


@pytest.mark.slow
def test_by_default_the_new_tokens_fit_into_the_context() -> None:
    made = continuation.predictor(continuation.bound(generate, SIZE, "net", 4), SYMBOLS)
    assert made.options.tokens == 6  # half of it
    each = with_options(made, dataclasses.replace(made.options, min_p=0.1))
    ((answer, _),) = each.batch(state(), each.items([], ["abc"]))
    assert len(answer["log_probabilities"]) == 6  # type: ignore[arg-type]
    long = dataclasses.replace(SIZE, context=1024)
    made = continuation.predictor(continuation.bound(generate, long, "net", 4), SYMBOLS)
    assert made.options.tokens == continuation.PromptOptions().tokens == 200


@pytest.mark.slow
def test_a_text_ends_neither_before_the_least_nor_long_after_it_is_shortened() -> None:
    end: dict[str, Any] = {"start": 10, "end": True, "temperature": 0.0}
    (short,) = answers("abc", shorten_by=1e6, **end)
    assert len(short["log_probabilities"]) <= 2  # with the end token's
    (longer,) = answers("abc", min_tokens=3, shorten_by=1e6, **end)
    assert len(longer["log_probabilities"]) == 4
    (later,) = answers("abc", min_tokens=1, shorten_from=1, shorten_by=1e6, **end)
    assert 2 <= len(later["log_probabilities"]) <= 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"min_tokens": 2}, "give --end, too"),
        ({"shorten_by": 1.1}, "give --end, too"),
        ({"end": True, "shorten_from": 2}, "give --shorten-by, too"),
        ({"end": True, "tokens": 20, "min_tokens": 2}, "ask for fewer tokens"),
    ],
)
def test_what_would_change_no_end_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        answers("abc", start=10, **how)


def test_a_prompt_too_long_for_its_options_is_refused_by_itself() -> None:
    made = continuation.predictor(continuation.bound(generate, SIZE, "net", 4), SYMBOLS)
    each = with_options(made, continuation.PromptOptions(tokens=8, min_p=0.1))
    long, short = answering.answers(
        each, state(), [Input("1", {}, text="abcde"), Input("2", {}, text="abc")]
    )
    assert isinstance(long, Unread)
    assert "a prompt of 5 tokens" in long.error
    assert isinstance(short, Answered)


@pytest.mark.nightly
def test_beyond_the_context_texts_are_those_of_generate_and_end_too() -> None:
    run = SIZE, params(SIZE), jnp.asarray([SYMBOLS.encode("abc")]), jax.random.key(3), 20
    whole = np.asarray(generate(*run, 1.2))[0, 3:]
    (answer,) = answers("abc", tokens=20, temperature=1.2)
    assert answer["text"] == SYMBOLS.decode(whole)
    assert answer["log_probability"] is answer["log_probabilities"] is None
    with pytest.raises(UsageError, match="ask for fewer tokens"):
        answers("abc", tokens=20, min_p=0.1)
    with pytest.raises(UsageError, match="--end: this model has no token"):
        answers("abc", end=True)
