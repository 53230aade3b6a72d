"""Pairs of answers to one context, and their folds."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import tokenizer
from dlcore.data.own.dialogues import Dialogue, Message
from dlcore.data.sets import dialogue_pairs
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
NAME = "taskmaster4_rewards"


def answered(context: str, answer: str) -> Dialogue:
    return [
        Message("assistant", "Hello"),
        Message("user", context),
        Message("assistant", answer),
    ]


def test_each_right_answer_is_paired_with_each_wrong_one_to_its_context() -> None:
    labelled = [("a", "r1", 1), ("a", "w1", 0), ("a", "r2", 1), ("a", "w1", 0), ("b", "r", 1)]
    labelled += [("c", "both", 1), ("c", "both", 0), ("c", "w", 0), ("c", "r", 1)]
    found = dialogue_pairs.pairs([(answered(a, b), reward) for a, b, reward in labelled])
    listed = [(each.right[-1].content, each.wrong[-1].content) for each in found]
    assert listed == [("r1", "w1"), ("r2", "w1"), ("r", "w")]
    assert [each.context for each in found] == [0, 0, 2]
    assert found[0].dialogue == found[1].dialogue != found[2].dialogue
    assert all(each.right[:-1] == each.wrong[:-1] for each in found)


@pytest.mark.slow
def test_dialogues_that_begin_alike_are_in_one_fold_and_contexts_count_alike() -> None:
    splits = dialogue_pairs.load(NAME, "offline", 64, 300, folds=3)
    assert splits.names() == ["train", "test"]
    pairs = splits.train.arrays
    assert {*pairs["fold"]} == {0, 1, 2}
    folds_of = {(d, f) for d, f in zip(pairs["dialogue"], pairs["fold"], strict=True)}
    assert len(folds_of) == len({*pairs["dialogue"]})
    assert pairs["pair_weight"].sum() == pytest.approx(len({*pairs["dialogue"]}))  # a context each
    used = tokenizer.from_facts(splits.facts.tokenizer)
    for row in range(0, len(splits.train), 20):
        right, wrong = (
            used.decode(pairs[f"{which}targets"][row][pairs[f"{which}weight"][row] > 0])
            for which in ("", "wrong_")
        )
        order = right.removeprefix("Sure, ").partition(". Is")[0]
        assert right != wrong
        assert order in used.decode(pairs["tokens"][row]).partition("Sure")[0]
        before = np.flatnonzero(pairs["weight"][row])[0]
        np.testing.assert_array_equal(
            pairs["tokens"][row][: before + 1], pairs["wrong_tokens"][row][: before + 1]
        )
    with pytest.raises(UsageError, match=r"--folds 10000, and only 94 groups .* 2 to 94"):
        dialogue_pairs.load(NAME, "offline", 64, 300, folds=10_000)
