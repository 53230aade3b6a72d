"""Answers without learning: a sliding window of words, and the most similar sentence."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dlcore.data.sets.question_windows import Question
from dlcore.data.word_spans import words

_SENTENCE = re.compile(r"[^.!?]*(?:[.!?](?!\s)[^.!?]*)*[.!?]*\s*")
LONGEST = 4  # words of an answer of the sliding window
# function words: no answer begins or ends with one
_FUNCTION = frozenset([
    "a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "from", "with", "and", "or",
    "but", "is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "do",
    "does", "did", "that", "which", "who", "whom", "whose", "what", "when", "where", "why",
    "how", "it", "its", "this", "these", "those", "as", "not", "he", "she", "they", "his",
    "her", "their", "we", "you", "i", "than", "then", "there",
])  # fmt: skip


def sentences(text: str) -> list[tuple[int, int]]:
    """Splits a text into sentences.

    Returns:
        Start and end of each sentence in characters, [start, end), without blanks around it.
    """
    found = []
    for match in _SENTENCE.finditer(text):
        if match.group().strip():
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            found.append((start, match.start() + len(match.group().rstrip())))
    return found


def rarity(texts: Iterable[str]) -> dict[str, float]:
    """Computes the inverse document frequency of each word, in lower case.

    Returns:
        {word: log(number of texts / number of texts with the word)}.
    """
    documents = [{word.lower() for word in words(text).words} for text in texts]
    counts = Counter(word for document in documents for word in document)
    return {word: math.log(len(documents) / count) for word, count in counts.items()}


def likeliest_sentence(question: Question, rare: dict[str, float]) -> tuple[int, int]:
    """Finds the sentence whose TF-IDF vector has the greatest cosine with that of the question.

    Args:
        question: with its text.
        rare: what `rarity` returns; a word that it lacks counts as the rarest.

    Returns:
        Start and end in the text, in characters; (0, 0) of a text without sentences.
    """
    most = max(rare.values(), default=1.0)

    def vector(text: str) -> dict[str, float]:
        counts = Counter(word.lower() for word in words(text).words)
        return {word: n * rare.get(word, most) for word, n in counts.items()}

    question_vector = vector(question.question)
    best, found = -1.0, (0, 0)
    for start, end in sentences(question.context):
        stated = vector(question.context[start:end])
        norm = math.sqrt(sum(value * value for value in stated.values())) or 1.0
        cosine = (
            sum(value * stated.get(word, 0.0) for word, value in question_vector.items()) / norm
        )
        if cosine > best:
            best, found = cosine, (start, end)
    return found


def sliding_window(question: Question, rare: dict[str, float]) -> tuple[int, int]:
    """Finds the span whose neighbourhood shares the rarest words with the question.

    Question words are the words of the question but for function words. A candidate has at most
    `LONGEST` words, no question word and no punctuation, and neither begins nor ends with a
    function word. Its score is the sum of the rarity of the question words in the window around it,
    each divided by its distance in words; on either side the window has as many words as the
    question, and punctuation marks count as words. Of equal scores the longest candidate is taken,
    then the first.

    Args:
        question: with its text.
        rare: what `rarity` returns; a word that it lacks counts as the rarest.

    Returns:
        Start and end in the text, in characters; (0, 0) where there is no candidate.

    Source: after the sliding window of Richardson et al. 2013, 4.1, which scores given answers.
    """
    most = max(rare.values(), default=1.0)
    tokens, spans = words(question.context)
    low = [word.lower() for word in tokens]
    question_words = {word.lower() for word in words(question.question).words} - _FUNCTION
    reach = max(1, len(words(question.question).words))
    # punctuation counts in the distance of words, and shares nothing
    shared = [rare.get(w, most) if w in question_words and w[:1].isalnum() else 0.0 for w in low]
    best, found = (-1.0, 0), (0, 0)
    for first in range(len(low)):
        for last in range(first, min(first + LONGEST, len(low))):
            inside = low[first : last + 1]
            if any(w in question_words or not w[:1].isalnum() for w in inside):
                break
            if inside[0] in _FUNCTION or inside[-1] in _FUNCTION:
                continue
            left = sum(v / (first - i) for i, v in _from(shared, first - reach, first))
            right = sum(v / (i - last) for i, v in _from(shared, last + 1, last + 1 + reach))
            score = (round(left + right, 9), last - first)
            if score > best:
                best, found = score, (int(spans[first, 0]), int(spans[last, 1]))
    return found


def _from(values: Sequence[float], start: int, stop: int) -> list[tuple[int, float]]:
    """The values that are not 0 with their indices."""
    start = max(start, 0)
    return [(i, v) for i, v in enumerate(values[start:stop], start) if v]
