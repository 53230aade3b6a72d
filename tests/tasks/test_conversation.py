"""A conversation: streamed text is what `generate` writes, over turns, stop texts and a full
context.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.characters import Vocabulary
from dlcore.errors import UsageError
from dlcore.models import char_rnn, rnn
from dlcore.models.decoding import gpt_decoder, rnn_decoder
from dlcore.models.gpt import GPT, Size
from dlcore.models.gpt_batch import Decoding, generate_batch
from dlcore.models.gpt_generation import generate
from dlcore.tasks.conversation import Conversation, Sampling
from dlcore.train import TextModel
from dlcore.train.step import State
from tests.models.compiled import init
from tests.models.test_gpt import params

SYMBOLS = Vocabulary("\nabcdefghij")
SIZE = Size(vocabulary=11, context=8, layers=2, heads=2, width=8, rotary=True)
KEY = jax.random.key(0)
NET = char_rnn.CharRNN(rnn.RNN("lstm", 6), 11)


def state(tree: Any) -> State:
    return State(jnp.zeros((), jnp.int32), {"net": tree}, {}, {})


def conversation(**how: Any) -> Conversation:
    text_model = TextModel("net", gpt_decoder(SIZE), SYMBOLS)
    return Conversation(text_model, state(params(SIZE)), Sampling(**how))


def expected(prompt: list[int], turn: int, length: int, seed: int = 3, **how: Any) -> str:
    """The continuation by `generate`, which is compiled as a whole."""
    key = jax.random.fold_in(jax.random.key(seed), turn)
    text = generate(SIZE, params(SIZE), jnp.asarray([prompt]), key, length, **how)
    return SYMBOLS.decode(np.asarray(text)[0, len(prompt) :])


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param({"temperature": 1.5, "top_p": 0.7}, marks=pytest.mark.nightly), {}]
)
def test_streamed_answers_are_those_of_generate_far_past_the_context(how: Any) -> None:
    talking = conversation(max_tokens=27, seed=3, **how)
    assert talking.prompt("abc") == (0, 0)
    assert "".join(talking.answer()) == expected([1, 2, 3], 0, 27, **how)
    assert talking.forgotten == 24 == 3 + 27 - len(talking.tokens)
    window = [*talking.tokens, 2, 3]
    assert talking.prompt("bc") == (0, max(0, len(window) - 7))
    assert "".join(talking.answer()) == expected(window[-7:], 1, 27, **how)


@pytest.mark.slow
def test_top_k_and_the_cache_over_two_turns_within_the_context() -> None:
    talking = conversation(max_tokens=2, seed=3, top_k=4)
    talking.prompt("a")
    first = "".join(talking.answer())
    talking.prompt("b")
    second = "".join(talking.answer())
    assert first == expected([1], 0, 2, top_k=4)
    assert second == expected([1, *SYMBOLS.encode(first), 2], 1, 2, top_k=4)


@pytest.mark.slow
def test_proposed_tokens_change_no_greedy_answer() -> None:
    each = [conversation(max_tokens=27, temperature=0.0, draft=draft) for draft in (0, 2)]
    for prompt, shown in (("abc", None), ("bc", 4), ("d", None)):  # one answer is stopped early
        texts = []
        for talking in each:
            talking.prompt(prompt)
            texts.append("".join(itertools.islice(talking.answer(), shown)))
        assert texts[0] == texts[1]
        assert each[0].tokens == each[1].tokens
    recurrent = TextModel("net", rnn_decoder(NET), SYMBOLS)
    with pytest.raises(UsageError, match="leave out --draft"):
        Conversation(recurrent, state({}), Sampling(draft=2))


@pytest.mark.nightly
def test_tokens_that_stood_in_the_text_are_penalised_as_in_a_batch() -> None:
    talking = conversation(max_tokens=5, temperature=0.0, repetition_penalty=1e3)
    talking.prompt("abc")
    prompt, padding, keys = jnp.asarray([[1, 2, 3]]), jnp.zeros(1, int), jax.random.split(KEY, 1)
    how = Decoding(0.0, repetition_penalty=1e3)
    made = generate_batch(SIZE, params(SIZE), prompt, padding, keys, 5, -1, how)
    text = "".join(talking.answer())
    assert text == SYMBOLS.decode(np.asarray(made.tokens)[0])
    assert text != expected([1, 2, 3], 0, 5, temperature=0.0)
    assert talking.forgotten == 0


@pytest.mark.slow
def test_an_answer_ends_neither_before_the_least_nor_long_after_it_is_shortened() -> None:
    text_model = TextModel("net", gpt_decoder(SIZE), SYMBOLS, end=10)
    sizes = []
    for least in (0, 3):
        how = Sampling(0.0, max_tokens=5, min_tokens=least, shorten_by=1e6)
        talking = Conversation(text_model, state(params(SIZE)), how)
        talking.prompt("ab")
        list(talking.answer())
        sizes.append(len(talking.tokens) - 2)
    assert sizes[0] <= 1
    assert sizes[1] == 3
    with pytest.raises(UsageError, match="no token that ends an answer"):
        conversation(min_tokens=3)
    for wrong in ({"draft": 2, "min_tokens": 3}, {"draft": 2, "shorten_by": 1.1}):
        with pytest.raises(UsageError, match="--draft checks several tokens"):
            Sampling(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_recurrent_network_keeps_its_states_over_turns() -> None:
    tree = init(NET, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"]
    tree = jax.tree.map(lambda x: 4 * x, tree)
    text_model = TextModel("net", rnn_decoder(NET), SYMBOLS)
    talking = Conversation(text_model, state(tree), Sampling(max_tokens=20, seed=5))
    prompt, texts = "abcdefghij" * 4, []
    for turn in range(2):
        assert talking.prompt(prompt) == (0, 0)
        before = jnp.asarray([talking.tokens])
        texts.append("".join(talking.answer()))
        key = jax.random.fold_in(jax.random.key(5), turn)
        whole = char_rnn.generate(NET, tree, before, key, 20)
        assert texts[-1] == SYMBOLS.decode(np.asarray(whole)[0, before.shape[1] :])
    assert texts[0] != texts[1]
    both = dataclasses.replace(NET.rnn, bidirectional=True)
    with pytest.raises(ValueError, match="both directions"):
        rnn_decoder(char_rnn.CharRNN(both, 11))


@pytest.mark.slow
def test_stacked_layers_are_unstacked_once() -> None:
    size = dataclasses.replace(SIZE, scan=True)
    tree = init(GPT(size), jax.random.key(0), jnp.zeros((1, 4), jnp.int32))["params"]
    text_model = TextModel("net", gpt_decoder(size), SYMBOLS)
    talking = Conversation(text_model, state(tree), Sampling(temperature=0.0, max_tokens=3))
    talking.prompt("abc")
    whole = generate(size, tree, jnp.asarray([[1, 2, 3]]), jax.random.key(0), 3, 0.0)
    assert "".join(talking.answer()) == SYMBOLS.decode(np.asarray(whole)[0, 3:])


@pytest.mark.slow
def test_a_prompt_longer_than_the_context_keeps_its_end() -> None:
    talking = conversation(max_tokens=5, seed=3)
    talking.prompt("jj")
    assert talking.prompt("abcdefghij") == (3, 2)
    window = SYMBOLS.encode("defghij").tolist()
    assert talking.tokens == window
    assert "".join(talking.answer()) == expected(window, 0, 5)


def test_reset_begins_anew_and_a_wrong_character_changes_nothing() -> None:
    talking = conversation(max_tokens=9, seed=3)
    talking.prompt("abc")
    first = "".join(talking.answer())
    before = list(talking.tokens)
    with pytest.raises(UsageError, match="'é' at position 1"):
        talking.prompt("aé")
    assert talking.tokens == before
    talking.reset()
    with pytest.raises(UsageError, match="nothing to continue"):
        talking.prompt("")
    talking.prompt("abc")
    assert "".join(talking.answer()) == first


@pytest.mark.slow
def test_an_answer_ends_before_the_stop_text_and_at_the_end_token() -> None:
    whole = expected([1, 2, 3], 0, 27)
    stop = whole[9:12]
    talking = conversation(max_tokens=27, seed=3, stop=("never", stop))
    talking.prompt("abc")
    assert "".join(talking.answer()) == whole[: whole.index(stop)]
    whole = expected([0, 2, 3], 0, 27)
    end = int(SYMBOLS.encode(whole[6])[0])
    text_model = TextModel("net", gpt_decoder(SIZE), SYMBOLS, start=0, end=end)
    talking = Conversation(text_model, state(params(SIZE)), Sampling(max_tokens=27, seed=3))
    assert talking.tokens == [0]
    talking.prompt("bc")
    assert "".join(talking.answer()) == whole[: whole.index(whole[6])]


@pytest.mark.slow
def test_an_answer_that_is_left_can_be_gone_on_from() -> None:
    talking = conversation(max_tokens=1000, seed=3)
    talking.prompt("abc")
    parts = talking.answer()
    assert next(parts) + next(parts) == expected([1, 2, 3], 0, 2)
    parts.close()
    assert talking.tokens == [1, 2, 3, *SYMBOLS.encode(expected([1, 2, 3], 0, 2))]


@pytest.mark.slow
def test_each_token_is_a_part_though_nothing_is_displayed() -> None:
    """So that Ctrl-C ends an answer of special tokens."""
    whole = expected([1, 2, 3], 0, 5)
    talking = conversation(max_tokens=5, seed=3, stop=(f"{whole}?",))
    talking.prompt("abc")
    assert list(talking.answer()) == [*[""] * 5, whole]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": -1.0}, "--temperature"),
        ({"temperature": float("nan")}, "--temperature"),
        ({"top_k": -1}, "--top-k"),
        ({"top_p": 0.0}, "--top-p"),
        ({"repetition_penalty": 0.0}, "--repetition-penalty"),
        ({"repetition_penalty": 2.0, "draft": 2}, "leave out --repetition-penalty"),
        ({"max_tokens": 0}, "--max-tokens"),
        ({"stop": ("",)}, "--stop"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_numbers_outside_their_range_are_refused(how: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sampling(**how)
