"""Synthetic facts about people, and questions with exact answers or none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NAMES = [
    "Anna",
    "Boris",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Greta",
    "Henry",
    "Iris",
    "Jonas",
    "Karla",
    "Louis",
    "Mona",
    "Nils",
    "Olga",
    "Peter",
    "Rosa",
    "Simon",
    "Tina",
    "Victor",
]
VALUES = {
    "city": [
        "Paris",
        "Lisbon",
        "Oslo",
        "New York",
        "Cairo",
        "Lima",
        "Kyoto",
        "Cape Town",
        "Quebec",
        "Riga",
    ],
    "job": [
        "baker",
        "nurse",
        "pilot",
        "lawyer",
        "tailor",
        "farmer",
        "deep sea diver",
        "chemist",
        "teacher",
        "clerk",
    ],
    "pet": ["a grey cat", "a parrot", "an old dog", "a rabbit", "two goldfish", "a pony"],
    "year": [str(year) for year in range(1950, 2000)],
}
SENTENCES = {
    "city": ("{name} lives in {value}.", "The home of {name} is {value}."),
    "job": ("{name} works as a {value}.", "As a {value}, {name} rises early."),
    "pet": ("{name} keeps {value} at home.", "At night {value} wakes {name}."),
    "year": ("{name} was born in {value}.", "In {value} the parents of {name} had a child."),
}
QUESTIONS = {
    "city": "Where does {name} live?",
    "job": "What is the job of {name}?",
    "pet": "Which pet does {name} have?",
    "year": "When was {name} born?",
}
FILLERS = (
    "It rained for days, and nobody minded.",
    "The trains were late again; still, the market was full.",
    "Some say that the old bridge will be closed.",
)


class Fact(NamedTuple):
    """A question on a text.

    Attributes:
        question, context: the texts.
        answer: as it occurs in the context; "" where the context does not say.
        start: offset of the answer in characters; 0 where there is none.
    """

    question: str
    context: str
    answer: str
    start: int


def facts(
    count: int = 1200, seed: int = 0, most: int = 4, unanswered_fraction: float = 0.15
) -> list[Fact]:
    """Draws texts about two to `most` people, and two questions on each text.

    Args:
        count: number of texts.
        seed: of the draws.
        most: largest number of people of a text, at least 2; for each the text gives one to three
            of the four attributes `VALUES`.
        unanswered_fraction: expected fraction of the questions that ask for an attribute which the
            text does not give.

    Returns:
        2 * count questions with their texts; the two questions on a text are adjacent, and may be
        the same.
    """
    random = np.random.RandomState(seed)
    found = []
    for _ in range(count):
        context, places = _text(random, most)
        for _ in range(2):
            names = sorted({name for name, _ in places})
            unanswered = [(n, k) for n in names for k in VALUES if (n, k) not in places]
            known = sorted(places)
            pick = unanswered if unanswered and random.uniform() < unanswered_fraction else known
            name, kind = pick[random.randint(len(pick))]
            start, end = places.get((name, kind), (0, 0))
            question = QUESTIONS[kind].format(name=name)
            found.append(Fact(question, context, context[start:end], start))
    return found


def _text(
    random: np.random.RandomState, most: int
) -> tuple[str, dict[tuple[str, str], tuple[int, int]]]:
    """A text, and the characters of each attribute that it gives, by (name, attribute)."""
    chosen = []
    for name in random.choice(NAMES, random.randint(2, most + 1), replace=False):
        kinds = random.choice(list(VALUES), random.randint(1, len(VALUES)), replace=False)
        chosen += [(str(name), str(kind)) for kind in kinds]
    random.shuffle(chosen)
    text, places = "", {}
    for name, kind in chosen:
        if random.uniform() < 0.3:
            text += FILLERS[random.randint(len(FILLERS))] + " "
        value = VALUES[kind][random.randint(len(VALUES[kind]))]
        form = SENTENCES[kind][random.randint(2)]
        start = len(text) + len(form.partition("{value}")[0].format(name=name))
        text += form.format(name=name, value=value) + " "
        places[name, kind] = start, start + len(value)
    return text.rstrip(), places
