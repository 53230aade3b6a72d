"""Pairs of a right and a wrong answer to one context of a dialogue, in folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlcore.data import source as sources
from dlcore.data import split
from dlcore.data.own.dialogues import Dialogue, begins, to_json
from dlcore.data.sets import dialogue_rewards, dialogues
from dlcore.data.sets.dialogue_rewards import Rewarded
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource


class Pair(NamedTuple):
    """Two answers to one context.

    Attributes:
        right, wrong: the context with each answer as its last message.
        context: number of the context.
        dialogue: number of the group of dialogues that begin with the same message of the user.
    """

    right: Dialogue
    wrong: Dialogue
    context: int
    dialogue: int


def pairs(rewarded: Sequence[Rewarded]) -> list[Pair]:
    """Pairs each right answer with each wrong one to the same context.

    Answers of the same text count once; those that were labelled both ways are left out.

    Args:
        rewarded: dialogues with the label of their last message, 1: right, 0: wrong.

    Returns:
        The pairs of each context together; a context without a right or a wrong answer has none.
    """
    answers: dict[str, tuple[dict[str, Dialogue], dict[str, Dialogue]]] = {}
    for messages, reward in rewarded:
        labelled = answers.setdefault(to_json(messages[:-1]), ({}, {}))
        labelled[reward].setdefault(messages[-1].content, messages)
    found: list[Pair] = []
    number: dict[str, int] = {}
    for context, (wrong, right) in enumerate(answers.values()):
        both = wrong.keys() & right.keys()
        for text in [each for each in right if each not in both]:
            dialogue = number.setdefault(begins(right[text]), len(number))
            for other in [each for each in wrong if each not in both]:
                found.append(Pair(right[text], wrong[other], context, dialogue))
    return found


def load(
    name: str,
    source: DataSource,
    length: int,
    vocabulary: int,
    pretrained: Subwords | None = None,
    *,
    folds: int,
) -> Splits:
    """Loads pairs of answers for cross-validation: train and test are the same pairs.

    There is no validation split.

    Args:
        name, source, length, vocabulary, pretrained: see `dialogue_rewards.load`; the answers of
            all splits are used.
        folds: number of folds; dialogues that begin alike are in one.

    Returns:
        Splits of `tokens`, `targets` int32 and `weight` float32 [length] of the right answer after
        its context, see `dialogue_rewards.load`; `wrong_tokens`, `wrong_targets`, `wrong_weight`,
        the same of the wrong one; `fold` int32 [], the fold in which the pair is for test;
        `dialogue` int32 [], see `Pair`; and `pair_weight` float32 [], 1 / number of pairs of the
        context.

    Raises:
        UsageError: as `dialogue_rewards.read`; a tokenizer without the chat template; no context
            with a right and a wrong answer; or fewer than two folds, or more than there are groups
            of dialogues with pairs (`Pair.dialogue`).
    """
    found, rewarded = dialogue_rewards.read(name, source, divided=False)
    tokens = pretrained or dialogues.learned(found, vocabulary)
    dialogues.check(tokens)
    if isinstance(source, Path):
        dialogue_rewards.warn_of_longer(found, tokens, length)
    every = pairs([each for rows in rewarded.values() for each in rows])
    if not every:
        raise UsageError(
            f"{found.name}: no context has both a right and a wrong answer, and DPO learns from"
            " pairs of them: add answers, or use --loss kto"
        )
    right, wrong = (
        dialogue_rewards.encoded(tokens, [getattr(pair, which) for pair in every], length)
        for which in ("right", "wrong")
    )
    group = np.array([pair.dialogue for pair in every], np.int32)
    context = np.array([pair.context for pair in every])
    if (count := len(np.unique(group))) < folds:
        advice = f"choose --folds 2 to {count}" if count > 1 else "add dialogues"
        raise UsageError(
            f"--folds {folds}, and only {count} {'groups' if count > 1 else 'group'} of dialogues"
            f" that begin alike {'have' if count > 1 else 'has'} both answers: {advice}"
        )
    fold = np.zeros(len(every), np.int32)
    for number, parts in enumerate(split.folds(len(every), folds, 0, groups=group)):
        fold[parts["test"]] = number
    arrays = {
        **right,
        **{f"wrong_{field}": array for field, array in wrong.items()},
        "fold": fold,
        "dialogue": group,
        "pair_weight": (1 / np.bincount(context)[context]).astype(np.float32),
    }
    # one source: each pair is for training in all folds but one
    pooled = sources.arrays(f"pairs of {found.name}", found.version, f"{folds} folds", arrays)
    facts = dialogues.facts(tokens, found)
    return Splits.of(train=pooled, test=pooled, facts=facts, scored=("test",))
