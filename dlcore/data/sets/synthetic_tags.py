"""Synthetic sentences with tags that follow from the context: names, requests, parts of speech."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from dlcore.data.own.tagged import Tagged, of_words
from dlcore.data.split import by_hash
from dlcore.data.tag_schemes import Span, bio

Kind = Literal["names", "requests", "parts"]
_SYLLABLES = [
    "ba",
    "de",
    "fi",
    "go",
    "ka",
    "le",
    "mi",
    "no",
    "pa",
    "re",
    "si",
    "to",
    "va",
    "zo",
    "lun",
    "mer",
    "tan",
    "rik",
    "sol",
    "bran",
]
# The slots of one template have the same kinds of names: context alone tells one from the other.
_NAMES = (
    "{person} works for {company} in {place} .",
    "last week {person} met {person} of {company} .",
    "shares of {company} rose after {person} left .",
    "from {place} to {place} it is a long way .",
    "the team of {place} lost , {person} said .",
    "nobody was seen there on that day .",
)
_REQUESTS = {
    "flight": ("show flights from {from} to {to}", "fly from {from} to {to} on {day} please"),
    "fare": ("how much is it from {from} to {to}", "cheapest fare to {to} on {day}"),
    "ground": ("which buses are there in {in}", "rent a car in {in} on {day}"),
}
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WORDS = {
    "DET": ["the", "a", "this", "every"],
    "ADJ": ["small", "old", "red", "quick", "bright"],
    "PRON": ["they", "we", "you"],
    "ADV": ["often", "slowly", "today"],
    # nouns and verbs of one spelling: the word before tells them apart
    "NOUN": ["run", "walk", "play", "fish", "plant", "watch", "dog", "tree"],
    "VERB": ["run", "walk", "play", "fish", "plant", "watch", "see", "eat"],
}
_ORDERS = (
    "DET NOUN VERB DET ADJ NOUN PUNCT",
    "PRON ADV VERB DET NOUN PUNCT",
    "PRON VERB DET ADJ ADJ NOUN ADV PUNCT",
    "DET ADJ NOUN VERB ADV PUNCT",
)


def _name(random: np.random.RandomState, count: int = 2) -> str:
    syllables = [str(random.choice(_SYLLABLES)) for _ in range(count + random.randint(2))]
    return "".join(syllables).capitalize()


def _filled(
    random: np.random.RandomState,
    template: str,
    value: Callable[[str], str],
) -> tuple[list[str], list[str]]:
    """Words and BIO tags of a template."""
    words: list[str] = []
    spans: list[Span] = []
    for part in template.split():
        slot = re.fullmatch(r"\{(\w+)\}", part)
        given = value(slot[1]).split() if slot else [part]
        if slot:
            spans.append(Span(len(words), len(words) + len(given), slot[1]))
        words += given
    return words, bio(spans, len(words))


def _named(random: np.random.RandomState) -> Tagged:
    def value(slot: str) -> str:
        count = 1 + random.randint(2)
        return " ".join(_name(random) for _ in range(count))

    return of_words(*_filled(random, str(random.choice(_NAMES)), value))


def _requested(random: np.random.RandomState) -> Tagged:
    intent = str(random.choice(list(_REQUESTS)))

    def value(slot: str) -> str:
        if slot == "day":
            return str(random.choice(_DAYS))
        return " ".join(_name(random).lower() for _ in range(1 + random.randint(2)))

    return of_words(*_filled(random, str(random.choice(_REQUESTS[intent])), value), intent)


def _spoken(random: np.random.RandomState) -> Tagged:
    tags = str(random.choice(_ORDERS)).split()
    words = ["." if tag == "PUNCT" else str(random.choice(_WORDS[tag])) for tag in tags]
    return of_words(words, tags)


@functools.lru_cache(maxsize=3)
def sentences(kind: Kind, count: int = 2500, seed: int = 0) -> dict[str, Sequence[Tagged]]:
    """Draws tagged sentences, split by the hash of their words.

    Args:
        kind: "names": persons, companies and places of random syllables, which context alone
            distinguishes; "requests": with slots and one of three intents; "parts": parts of
            speech, where the word before tells nouns from verbs of the same spelling.
        count: number of sentences.
        seed: of the draws.

    Returns:
        {split: sentences}, of validation and test about a tenth each. The result is cached: do not
        change it.
    """
    random = np.random.RandomState(seed)
    draw = {"names": _named, "requests": _requested, "parts": _spoken}[kind]
    drawn = [draw(random) for _ in range(count)]
    parts = by_hash([" ".join(each.words) for each in drawn])
    return {split: [drawn[i] for i in index] for split, index in parts.items()}
