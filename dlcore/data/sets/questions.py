"""Questions whose answers are passages of a text: SQuAD, synthetic facts, or a user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import left_out
from dlcore.data.own import questions as own
from dlcore.data.own.found import VERSION
from dlcore.data.sets import synthetic_questions
from dlcore.data.sets.question_windows import (
    Encoder,
    Lengths,
    Question,
    QuestionWindows,
    encoded,
    vocabulary,
)
from dlcore.data.split import by_hash
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource

NAME = "squad_v11_dev"
FOLDS = 5
HELD_OUT = 4  # articles for validation, of those that are not for test
PAIRED = 0.5  # of the held-out published questions: a third of the mixed ones has no answer

BySplit = dict[str, list[Question]]  # {split: questions}


def load(
    source: DataSource,
    lengths: Lengths,
    fold: int = 0,
    negatives: float = 0.0,
    rarest: int = 2,
    subwords: Subwords | None = None,
    longest: int = 0,
) -> Splits:
    """Loads questions with their texts as splits of `QuestionWindows`.

    Emits a UserWarning if questions of a user's are truncated, or answers longer than `longest`.

    Args:
        source: "published": SQuAD 1.1's development set, of whose 48 articles 9 or 10 are for test,
            and of the rest 4 for validation, and `mixed(split)` of both; "offline": synthetic
            facts, 15 % of whose questions have no answer; a path: a user's
            (`dlcore.data.own.questions`).
        lengths: of a row in tokens.
        fold: of the published set, which fifth of the articles is for test, from 0. With a path it
            must be 0; offline it is ignored.
        negatives: fraction of the training questions that are shown once more with another text
            of their group (an article of the published set), see `unanswerable`.
        rarest: occurrences in training from which a word is in the vocabulary.
        subwords: a tokenizer, in place of a vocabulary of words; `lengths.characters` must be 0.
        longest: tokens of the longest answer that the reader can give; 0: not known.

    Returns:
        Splits; `facts` has `encoder` (`Encoder.from_facts`), `vocabulary`, the number of tokens,
        and of own data `by_hash`.

    Raises:
        UsageError: the set is not prepared; a stride below 1 or above the window, a question length
            below 1, another tokenizer than `Subwords`, or `characters` with subwords; a fold that
            does not exist, or other than 0 with a path; or faults in own files.
    """
    if subwords is not None and not isinstance(subwords, Subwords):
        raise UsageError(
            f"the pretrained model reads {type(subwords).__name__}, and this reader needs byte"
            " pairs: name a run of bert_english"
        )
    if subwords is not None and lengths.characters:
        raise UsageError("subword tokens have no characters of words: `characters` must be 0")
    if (
        not 0 < lengths.stride <= lengths.window
        or min(lengths.question, lengths.characters + 1) < 1
    ):
        raise UsageError(
            f"windows of {lengths.window} tokens every {lengths.stride}: the stride is from 1 to"
            " the window, or tokens between windows would not be read"
        )
    names = {split: split for split in ("train", "validation", "test")}
    if isinstance(source, Path):
        if fold:
            raise UsageError(f"--fold {fold} is of the published set: leave it out with --data")
        found = own.load(source)
        info = source.resolve().name, VERSION
        names = {split: found.named(split) for split in found.splits}
        by_split = {
            split: [_own(*example.values) for example in examples]
            for split, examples in found.splits.items()
        }
        made = _splits(by_split, info, names, lengths, negatives, rarest, subwords)
        _warn_of_longer(by_split, made, longest)
        return made.with_facts(by_hash=found.by_hash)
    if is_offline(NAME, source):
        return _splits(
            _synthetic(), ("synthetic facts", "1"), names, lengths, negatives, rarest, subwords
        )
    by_split = with_mixed(_published(fold))
    names = {split: f"{split} of fold {fold}" for split in by_split}
    info = NAME, tfds.version(NAME)
    return _splits(by_split, info, names, lengths, negatives, rarest, subwords)


def mixed(split: str) -> str:
    """Names the split with the questions of "validation" or "test" and some without an answer."""
    return f"{split}_with_unanswerable"


def with_mixed(by_split: BySplit) -> BySplit:
    """Adds `mixed(split)` of validation and of test: their questions and `unanswerable` pairs."""
    held_out = ((split, by_split[split]) for split in ("validation", "test"))
    return by_split | {
        mixed(split): questions + unanswerable(questions, PAIRED) for split, questions in held_out
    }


def _splits(
    by_split: BySplit,
    info: tuple[str, str],
    names: Mapping[str, str],
    lengths: Lengths,
    negatives: float,
    rarest: int,
    subwords: Subwords | None,
) -> Splits:
    words = vocabulary(by_split["train"], rarest) if subwords is None else ()
    encoder = Encoder(lengths, words, subwords)
    shown = {**by_split, "train": by_split["train"] + unanswerable(by_split["train"], negatives)}
    sources = {
        split: encoded(questions, encoder, (*info, names[split]))
        for split, questions in shown.items()
    }
    return Splits.of(sources, facts=Facts(encoder=encoder.to_facts(), vocabulary=len(encoder)))


def _warn_of_longer(by_split: BySplit, splits: Splits, longest: int) -> None:
    """Warns of truncated questions, and of answers (the first of each question) out of reach."""
    encoder = Encoder.from_facts(splits.facts.encoder)
    most = encoder.lengths.question
    answers, cut = dict[str, tuple[int, int]](), dict[str, tuple[int, int]]()
    for split, given in by_split.items():
        windows = splits[split]
        assert isinstance(windows, QuestionWindows)
        start, end = windows.arrays["start"], windows.arrays["end"]
        found = len(np.unique(windows.number[(start > 0) & (end - start < longest)]))
        answered = sum(bool(each.answers) for each in given)
        answers[split] = (answered - found if longest else 0), answered
        longer = sum(len(encoder.tokens(each.question).ids) > most for each in given)
        cut[split] = longer, len(given)
    rest = "or in no window as a whole: the reader cannot find them; a larger --longest finds more"
    left_out.warn("answers", answers, f"are longer than --longest {longest} tokens, {rest}")
    rest = "what follows is not read; a larger --question reads more"
    left_out.warn("questions", cut, f"are longer than --question {most} tokens: {rest}")


def unanswerable(questions: Sequence[Question], fraction: float, seed: int = 0) -> list[Question]:
    """Pairs a fraction of the questions with another text of their group that has no answer to it.

    Args:
        questions: with `group`; those without an answer are not paired.
        fraction: probability, in [0, 1], with which a text of its group is drawn for a question.
        seed: of the draws.

    Returns:
        Questions without answers. A question is left out if the drawn text is its own, contains one
        of its answers, or answers the same question elsewhere; no second text is drawn.
    """
    random = np.random.RandomState(seed)
    texts: dict[str, list[str]] = {}
    answered = {(each.question, each.context) for each in questions if each.answers}
    for each in questions:
        texts.setdefault(each.group, [])
        if each.context not in texts[each.group][-1:]:
            texts[each.group].append(each.context)
    found = []
    for each in questions:
        if not each.answers or random.uniform() >= fraction:
            continue
        context = texts[each.group][random.randint(len(texts[each.group]))]
        if (each.question, context) in answered:
            continue
        if context != each.context and not any(answer in context for answer in each.answers):
            found.append(Question(each.question, context, group=each.group))
    return found


def articles(names: Sequence[str], fold: int) -> dict[str, list[str]]:
    """Returns the articles of each split of a fold; each is for test in one of `FOLDS` folds.

    Args:
        names: of the articles; their order does not matter.
        fold: from 0.

    Raises:
        UsageError: there is no such fold.
    """
    if not 0 <= fold < FOLDS:
        raise UsageError(f"--fold {fold}: there are {FOLDS}, counted from 0")
    order = np.random.RandomState(0).permutation(len(names))
    shuffled = [sorted(names)[i] for i in order]
    test = shuffled[fold::FOLDS]
    rest = [name for name in shuffled if name not in test]
    return {"train": rest[HELD_OUT:], "validation": rest[:HELD_OUT], "test": test}


def _published(fold: int) -> BySplit:
    columns = tfds.columns(NAME, "dev", ["article", "context", "questions"])
    parts = articles(sorted({*columns["article"]}), fold)
    split_of = {name: split for split, names in parts.items() for name in names}
    found: BySplit = {split: [] for split in parts}
    for article, context, listed in zip(
        columns["article"], columns["context"], columns["questions"], strict=True
    ):
        for text, answers in json.loads(listed):
            given, starts = zip(*answers, strict=True)
            found[split_of[article]].append(Question(text, context, given, starts, article))
    return found


def _synthetic() -> BySplit:
    facts = synthetic_questions.facts()
    parts = by_hash([each.context for each in facts])
    made = [
        Question(f.question, f.context, (f.answer,), (f.start,), "facts")
        if f.answer
        else Question(f.question, f.context, group="facts")
        for f in facts
    ]
    return {split: [made[i] for i in index] for split, index in parts.items()}


def _own(question: str, context: str, listed: str) -> Question:
    answers = json.loads(listed)
    texts, starts = tuple(a for a, _ in answers), tuple(s for _, s in answers)
    return Question(question, context, texts, starts, "own")
