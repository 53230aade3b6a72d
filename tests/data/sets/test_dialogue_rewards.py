"""Labelled answers as rows: the answer alone counts, beside one context with another answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import tokenizer
from dlcore.data.sets import dialogue_pairs, dialogue_rewards
from dlcore.data.tokens import bpe
from dlcore.errors import UsageError

NAME = "taskmaster4_rewards"


def test_offline_rows_have_an_answer_and_the_answer_to_another_context() -> None:
    splits = dialogue_rewards.load(NAME, "offline", 64, 300)
    used = tokenizer.from_facts(splits.facts.tokenizer)
    batch = splits["test"].gather(np.arange(40))
    end, begin = used.special("<|turn|>"), used.special("<|assistant|>")
    answers: dict[str, list[str]] = {"": [], "other_": []}
    for which, texts in answers.items():
        tokens, targets, weight = (
            batch[f"{which}{name}"] for name in ("tokens", "targets", "weight")
        )
        for row, following, counted in zip(tokens, targets, weight > 0, strict=True):
            first, last = np.flatnonzero(counted)[[0, -1]]
            assert counted[first : last + 1].all()
            assert row[first] == begin
            assert following[last] == end
            texts.append(used.decode(following[first:last]))
        assert all(text.startswith("Sure, ") for text in texts)
    # the contexts of both are the same, and other answers are the answers in another order
    for row, other, counted in zip(
        batch["tokens"], batch["other_tokens"], batch["weight"] > 0, strict=True
    ):
        before = np.flatnonzero(counted)[0]
        np.testing.assert_array_equal(row[: before + 1], other[: before + 1])
    assert sorted(answers[""]) == sorted(answers["other_"])
    assert answers[""] != answers["other_"]
    # an answer is right where it repeats the order
    for row, answer, right in zip(batch["tokens"], answers[""], batch["desirable"], strict=True):
        order = answer.removeprefix("Sure, ").removesuffix(". Is that right?")
        assert (order in used.decode(row).partition("Sure")[0]) == bool(right)


@pytest.mark.slow
def test_of_a_long_context_the_last_tokens_remain() -> None:
    whole, cut = (dialogue_rewards.load(NAME, "offline", n, 300)["test"] for n in (64, 12))
    index = np.arange(5)
    for name in ("tokens", "targets"):
        kept = cut.gather(index)[name]
        for row, short in zip(whole.gather(index)[name], kept, strict=True):
            np.testing.assert_array_equal(row[row != 0][-12:], short)


def lines(count: int, *rewards: int) -> str:
    """JSON lines of a context with an answer for each reward."""
    return "".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"order {i} {count}"},
                    {"role": "assistant", "content": ("no", "yes")[reward]},
                ],
                "reward": reward,
            }
        )
        + "\n"
        for i in range(count)
        for reward in rewards
    )


def test_own_answers_are_rows_and_pairs(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("validation", 3), ("test", 4)):
        (tmp_path / f"{split}.jsonl").write_text(lines(count, 0, 1))
    splits = dialogue_rewards.load(NAME, tmp_path, 32, 264)
    assert splits.train.info.version == "own"
    batch = splits["test"].gather(np.arange(8))
    used = tokenizer.from_facts(splits.facts.tokenizer)
    for targets, weight, right in zip(
        batch["targets"], batch["weight"], batch["desirable"], strict=True
    ):
        assert used.decode(targets[weight > 0]) == ("no", "yes")[int(right)]
    np.testing.assert_array_equal(batch["dialogue"], np.arange(4).repeat(2))
    pairs = dialogue_pairs.load(NAME, tmp_path, 32, 264, folds=3)
    assert len(pairs.train) == 8 + 3 + 4
    with pytest.warns(UserWarning, match="16 of 16 answers of train, .* more than --context 8 tok"):
        dialogue_rewards.load(NAME, tmp_path, 8, 264)


def test_pairs_need_no_splits(tmp_path: Path) -> None:
    """The hash would leave some empty."""
    (tmp_path / "own.jsonl").write_text(lines(3, 0, 1))
    assert len(dialogue_pairs.load(NAME, tmp_path, 32, 264, folds=3).test) == 3
    with pytest.raises(UsageError, match=r"--folds 4, and only 3 groups .*: choose --folds 2 to 3"):
        dialogue_pairs.load(NAME, tmp_path, 32, 264, folds=4)
    (tmp_path / "own.jsonl").write_text(lines(1, 0, 1))
    with pytest.raises(UsageError, match=r"only 1 group .* has both answers: add dialogues"):
        dialogue_pairs.load(NAME, tmp_path, 32, 264, folds=2)


def test_own_answers_of_one_label_are_refused(tmp_path: Path) -> None:
    for split, rewards in (("train", (0, 1)), ("validation", (1,)), ("test", (0, 1))):
        (tmp_path / f"{split}.jsonl").write_text(lines(4, *rewards))
    with pytest.raises(UsageError, match="validation: its 4 answers are all right or all wrong"):
        dialogue_rewards.load(NAME, tmp_path, 32, 264)
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text(lines(4, 1))
    with pytest.raises(UsageError, match="no context has both a right and a wrong answer"):
        dialogue_pairs.load(NAME, tmp_path, 32, 264, folds=3)


def test_a_folder_without_files_and_a_foreign_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no files \.jsonl"):
        dialogue_rewards.load(NAME, tmp_path, 64, 300)
    with pytest.raises(UsageError, match="dialogues need"):
        dialogue_rewards.load(NAME, "offline", 64, 300, bpe(["aa"], 257, ["<|end|>"]))
