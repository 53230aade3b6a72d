"""Questions on texts as rows of tokens; a long text is cut into windows, each with the question."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from dlcore.data import tokenizer, word_spans
from dlcore.data.sets.sentences import plain
from dlcore.data.source import Arrays, arrays
from dlcore.data.tokens import Subwords
from dlcore.files import Json

PAD, UNKNOWN = 0, 1


class Question(NamedTuple):
    """A question on a text.

    Attributes:
        question, context: the texts.
        answers: true answers, as they are written in the context; (): the context has none.
        starts: offset in characters of each answer.
        group: name of the group of questions whose texts may be exchanged to make questions without
            answers, such as an article.
    """

    question: str
    context: str
    answers: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    group: str = ""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Numbers of tokens of a row.

    Attributes:
        window: tokens of a text in one row; a longer text has several rows.
        stride: tokens from the start of one window to that of the next, at most `window`.
        question: tokens of the question; longer ones are truncated.
        characters: largest number of UTF-8 bytes of each word that are read; 0: none are, as for a
            reader of subwords.
    """

    window: int = 256
    stride: int = 128
    question: int = 32
    characters: int = 10


class Tokens(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: index of each token in the vocabulary, int32 [tokens].
        words: the word that each token is, or is a part of, as it is written.
        spans: first character of that word, and the one after its last, int32 [tokens, 2].
    """

    ids: Int32[np.ndarray, " tokens"]
    words: list[str]
    spans: Int32[np.ndarray, "tokens 2"]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encodes questions and texts, by words or by the subwords of each word.

    Attributes:
        lengths: of a row.
        vocabulary: words in lower case, with the indices from 2; 0 is padding, 1 an unknown word.
            Not used with `subwords`.
        subwords: a tokenizer, in place of words; None: words.
    """

    lengths: Lengths
    vocabulary: tuple[str, ...] = ()
    subwords: Subwords | None = None

    def __len__(self) -> int:
        return len(self.vocabulary) + 2 if self.subwords is None else len(self.subwords)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary, 2)}

    def tokens(self, text: str) -> Tokens:
        """Encodes a text of any length, with the offsets of its words in characters."""
        words, spans = word_spans.words(text)
        if self.subwords is None:
            index = [self._index.get(word.lower(), UNKNOWN) for word in words]
            return Tokens(np.array(index, np.int32), words, spans)
        parts = self.subwords.encode_all([plain(word) for word in words])
        counts = np.array([len(part) for part in parts], np.int64)
        repeated = [word for word, part in zip(words, parts, strict=True) for _ in part]
        ids = np.concatenate([np.zeros(0, np.int32), *parts])
        return Tokens(ids, repeated, np.repeat(spans, counts, 0))

    def to_facts(self) -> dict[str, Json]:
        """Returns plain JSON from which `from_facts` makes the encoder."""
        known: dict[str, Json] = {"lengths": dataclasses.asdict(self.lengths)}
        if self.subwords is None:
            return {**known, "words": list(self.vocabulary)}
        return {**known, "tokenizer": tokenizer.to_facts(self.subwords)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Encoder:
        """Makes the encoder that `to_facts` described."""
        lengths = Lengths(**facts["lengths"])
        if "tokenizer" in facts:
            return cls(lengths, subwords=tokenizer.from_facts(facts["tokenizer"]))
        return cls(lengths, tuple(facts["words"]))


def vocabulary(questions: Iterable[Question], rarest: int) -> tuple[str, ...]:
    """Returns the sorted words, in lower case, of questions and of the texts that they are about.

    Args:
        questions: of the training split.
        rarest: occurrences from which a word is in the vocabulary; a text that several questions
            are about is counted once.
    """
    questions = list(questions)
    texts = [*(each.question for each in questions), *sorted({each.context for each in questions})]
    counts = Counter(word.lower() for text in texts for word in word_spans.words(text).words)
    return tuple(sorted(word for word, count in counts.items() if count >= rarest))


@dataclasses.dataclass(frozen=True, eq=False)
class QuestionWindows(Arrays):
    """Windows of texts with their questions, in the order of the questions.

    Fields of a window: `context` int32 [window] and `question` int32 [question], 0 at padding;
    `context_flags` and `question_flags` uint8 [..., 5], see `word_spans.flags`; unless
    `Lengths.characters` is 0 `context_characters` and `question_characters` uint8 [...,
    characters], the bytes of words plus 1 (`word_spans.characters`); `start` and `end` int32, the
    first and last token of the first answer in the window, counted from 1, or both 0 where the
    window does not contain all of it, or the question has no answer.

    Attributes:
        questions: the questions.
        number: index of the question of each window, int32 [windows], ascending.
        spans: first character of each token in the whole text, and the one after its last, int32
            [windows, window, 2].
    """

    questions: tuple[Question, ...] = ()
    number: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    spans: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 2), np.int32))


def starts(count: int, window: int, stride: int) -> list[int]:
    """Returns the first token of each window over a text; together the windows cover it.

    Args:
        count: tokens of the text.
        window, stride: see `Lengths`.
    """
    return [0, *range(stride, stride + max(0, count - window), stride)]


def encoded(
    questions: Sequence[Question], encoder: Encoder, info: tuple[str, str, str]
) -> QuestionWindows:
    """Encodes questions as windows; the target is the first of the true answers.

    Args:
        questions: at least one.
        encoder: of words or subwords.
        info: name, version and split of the data.
    """
    rows: dict[str, list[np.ndarray]] = {}
    number: list[int] = []
    spans: list[np.ndarray] = []
    tokens = functools.lru_cache(maxsize=64)(encoder.tokens)  # questions on one text are neighbours
    for i, question in enumerate(questions):
        for row, span in _rows(question, encoder, tokens(question.context)):
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
            number.append(i)
            spans.append(span)
    made = arrays(*info, {name: np.stack(each) for name, each in rows.items()})
    index = np.array(number, np.int32)
    return QuestionWindows(made.arrays, made.info, tuple(questions), index, np.stack(spans))


def _rows(
    question: Question, encoder: Encoder, context: Tokens
) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    """The fields and the spans of each window of a question."""
    lengths, asks = encoder.lengths, encoder.tokens(question.question)
    covered = None
    if question.answers:
        start = question.starts[0]
        covered = word_spans.covering(context.spans, start, start + len(question.answers[0]))
    fixed = {"question": padded(asks.ids, lengths.question)}
    flags = {"question": word_spans.flags(asks.words, context.words)}
    flags["context"] = word_spans.flags(context.words, asks.words)
    fixed["question_flags"] = padded(flags["question"], lengths.question)
    if lengths.characters:
        words = word_spans.characters(asks.words, lengths.characters)
        fixed["question_characters"] = padded(words, lengths.question)
    found = []
    for first in starts(len(context.ids), lengths.window, lengths.stride):
        part = slice(first, first + lengths.window)
        inside = covered is not None and part.start <= covered[0] and covered[1] < part.stop
        answer = (covered[0] - first + 1, covered[1] - first + 1) if covered and inside else (0, 0)
        row = {
            **fixed,
            "context": padded(context.ids[part], lengths.window),
            "context_flags": padded(flags["context"][part], lengths.window),
            "start": np.asarray(answer[0], np.int32),
            "end": np.asarray(answer[1], np.int32),
        }
        if lengths.characters:
            words = word_spans.characters(context.words[part], lengths.characters)
            row["context_characters"] = padded(words, lengths.window)
        found.append((row, padded(context.spans[part], lengths.window)))
    return found


def padded(values: np.ndarray, length: int) -> np.ndarray:
    """Truncates an array to its first `length` rows, or pads it with zeros.

    Args:
        values: [rows, ...].
        length: number of rows of the result.

    Returns:
        [length, ...], dtype of `values`.
    """
    found = np.zeros((length, *values.shape[1:]), values.dtype)
    found[: len(values)] = values[:length]
    return found
