"""bAbI's stories and questions as rows of words, or synthetic stories with exact answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dlcore.data import marks, tfds
from dlcore.data.facts import Facts
from dlcore.data.own import stories as own
from dlcore.data.own.found import SPLITS, VERSION, Found
from dlcore.data.source import Arrays, arrays
from dlcore.data.split import by_hash
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

NAME = "babi_v12"
Examples = Literal["1k", "10k"]
TASKS = tuple(range(1, 21))
ONLY_1K = 3  # the task whose 10,000 training questions are missing
SYNTHETIC_TASKS = (1, 2)
PAD, UNKNOWN = 0, 1


class Story(NamedTuple):
    """A question on the sentences before it.

    Attributes:
        task: 1 to 20; 0 of one's own stories without a number.
        sentences: of the story so far, without questions.
        question: the question.
        answer: a word, or several with commas between them.
        supporting: indices in `sentences`, from 0, of those from which the answer follows.
    """

    task: int
    sentences: tuple[str, ...]
    question: str
    answer: str
    supporting: tuple[int, ...] = ()


def words(text: str) -> list[str]:
    """Splits a sentence into its words in lower case; of punctuation ' and - stay in words."""
    return marks.pattern(r"[\w'-][\w'\-MARKS]*", text.isascii()).findall(text.lower())


def parsed(task: int, text: str) -> list[Story]:
    """Parses a story in the format of bAbI to its questions.

    Args:
        task: of the story.
        text: of one story, lines "number sentence", and "number question<TAB>answer<TAB>numbers of
            sentences".

    Returns:
        Each question with all sentences before it.

    Raises:
        UsageError: a line of another form, with its number.
    """
    found, sentences, index = [], list[str](), dict[int, int]()
    for number, line in enumerate(text.split("\n"), 1):
        match = own.LINE.fullmatch(line.rstrip())
        if match is None:
            raise UsageError(f"line {number} of the story is {line!r}: {own.FORM}")
        if match[3] is None:
            index[int(match[1])] = len(sentences)
            sentences.append(match[2].strip())
            continue
        given = [int(each) for each in (match[4] or "").split()]
        supporting = tuple(index[each] for each in given if each in index)
        story = Story(task, tuple(sentences), match[2].strip(), match[3].strip(), supporting)
        found.append(story)
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Stories(Arrays):
    """Rows of stories, as words.

    Fields: `story` int32 [sentences, words], the last sentence first; `question` int32 [words];
    `label` int32, index in `Encoder.answers`; and `task` int32, its number. In the first two 0 is
    padding and 1 an unknown word.

    Attributes:
        stories: as they are written.
    """

    stories: tuple[Story, ...] = ()


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encodes stories as arrays of word indices (`encode`).

    Attributes:
        vocabulary: words, with the indices from 2; 0 is padding, 1 an unknown word.
        answers: possible answers, in the order of their labels.
        sentences: most sentences of a row; of longer stories the last ones are kept.
        length: most words of a sentence.
    """

    vocabulary: tuple[str, ...]
    answers: tuple[str, ...]
    sentences: int
    length: int

    def encode(self, stories: Sequence[Story]) -> dict[str, np.ndarray]:
        """Encodes stories as the fields of `Stories`, without `label`, each [stories, ...].

        Words beyond `length` and sentences before the last `sentences` are left out, and shorter
        stories are padded to these sizes.
        """
        number = {word: i for i, word in enumerate(self.vocabulary, 2)}
        lines: dict[str, list[int]] = {}

        def line(text: str) -> list[int]:
            if text not in lines:
                lines[text] = [number.get(word, UNKNOWN) for word in words(text)][: self.length]
            return lines[text]

        story = np.zeros((len(stories), self.sentences, self.length), np.int32)
        question = np.zeros((len(stories), self.length), np.int32)
        for i, each in enumerate(stories):
            for j, text in enumerate(each.sentences[::-1][: self.sentences]):
                story[i, j, : len(line(text))] = line(text)
            question[i, : len(line(each.question))] = line(each.question)
        task = np.array([each.task for each in stories], np.int32)
        return {"story": story, "question": question, "task": task}


def load(
    source: DataSource,
    examples: Examples = "1k",
    tasks: Sequence[int] = (),
    sentences: int = 50,
    held_out: float = 0.1,
) -> Splits:
    """Loads bAbI's questions as splits of `Stories`, all tasks together.

    Args:
        source: "published"; "offline", `synthetic` stories of tasks 1 and 2, for which `examples`
            and `held_out` are not used; or a path of files in bAbI's format (`own.stories.find`),
            for which `examples` and `held_out` are not used.
        examples: questions to train on for each task, 1,000 or 10,000. Of task 3, whose 10,000 are
            missing, "10k" takes the small set, for training and test.
        tasks: numbers of the tasks; (): all that the source has. A path allows () only.
        sentences: most sentences of a story; of longer ones the last are kept.
        held_out: fraction of bAbI's training stories that are cut, by hash, for validation.

    Returns:
        Splits; `facts` has `vocabulary` (the words of all splits), `answers`, `sentences`, `length`
        (words of the longest sentence) and `tasks`.

    Raises:
        UsageError: faults in user files, `tasks` with a path, a task that the source lacks, or a
            set that is not prepared.
    """
    if wrong := [task for task in tasks if task not in TASKS]:
        raise UsageError(f"--tasks {wrong[0]}: the tasks have the numbers 1 to {len(TASKS)}")
    names = {split: f"{split} {examples}" for split in SPLITS}
    if isinstance(source, Path):
        if tasks:
            raise UsageError(
                "--tasks chooses among bAbI's: with --data, name a folder of some files"
            )
        given = own.load(source)
        found, info = _own(given), (source.resolve().name, VERSION)
        names = {split: given.named(split) for split in found}
    elif is_offline(NAME, source):
        found, info = _synthetic(tasks), ("synthetic stories", "1")
        names = {split: split for split in SPLITS}
    else:
        found, info = _published(examples, tasks or TASKS, held_out), (NAME, tfds.version(NAME))
    everything = [story for stories in found.values() for story in stories]
    texts = {text for story in everything for text in (*story.sentences, story.question)}
    # of all splits, as in the papers: no word of the test is unknown
    encoder = Encoder(
        tuple(sorted({word for text in texts for word in words(text)})),
        tuple(sorted({story.answer for story in everything})),
        min(sentences, max(len(story.sentences) for story in everything)),
        max(len(words(text)) for text in texts),
    )
    label = {answer: i for i, answer in enumerate(encoder.answers)}
    sources = {}
    for split, stories in found.items():
        fields = encoder.encode(stories)
        fields["label"] = np.array([label[story.answer] for story in stories], np.int32)
        made = arrays(*info, names[split], fields)
        sources[split] = Stories(made.arrays, made.info, tuple(stories))
    numbers = sorted({story.task for story in everything})
    return Splits.of(sources, facts=Facts(dataclasses.asdict(encoder), tasks=numbers))


def of_file(file: Path) -> list[Story]:
    """Reads the questions of a file of bAbI's format, in their order.

    Raises:
        UsageError: as `own.stories.read`.
    """
    values = (example.values for example in own.read(file))
    return [story for text, task in values for story in parsed(int(task), text)]


def _own(given: Found) -> dict[str, list[Story]]:
    found: dict[str, list[Story]] = {split: [] for split in given.splits}
    for split, example in given.items():
        text, task = example.values
        found[split] += parsed(int(task), text)
    return found


def _synthetic(tasks: Sequence[int]) -> dict[str, list[Story]]:
    """The synthetic stories of some tasks; (): of both."""
    if wrong := [task for task in tasks if task not in SYNTHETIC_TASKS]:
        raise UsageError(f"--tasks {wrong[0]}: the stories of --offline have the tasks 1 and 2")
    return {
        split: [story for story in stories if story.task in (tasks or SYNTHETIC_TASKS)]
        for split, stories in synthetic().items()
    }


def _published(examples: Examples, tasks: Sequence[int], held_out: float) -> dict[str, list[Story]]:
    found: dict[str, list[Story]] = {"train": [], "validation": [], "test": []}
    small = {split: _by_task(split) for split in ("train", "test")}
    large = small if examples == "1k" else {s: _by_task(f"{s}_10k") for s in ("train", "test")}
    for task in tasks:
        read = small if task == ONLY_1K else large
        train = read["train"][task]
        # a story with all its questions is in one split
        parts = by_hash([f"{task} {number}" for number in _numbers(train)], held_out, 0.0)
        for split, index in parts.items():
            found[split] += [train[i] for i in index]
        found["test"] += read["test"][task]
    return found


def _numbers(stories: Sequence[Story]) -> list[int]:
    """The number of each question's story: those of one story begin with the same sentences."""
    number, found, before = 0, list[int](), None
    for story in stories:
        if before is not None:
            number += story.sentences[: len(before.sentences)] != before.sentences
        found.append(number)
        before = story
    return found


def _by_task(split: str) -> dict[int, list[Story]]:
    columns = tfds.columns(NAME, split, ["task", "story"])
    found: dict[int, list[Story]] = {}
    for task, text in zip(columns["task"], columns["story"], strict=True):
        found.setdefault(int(task), []).extend(parsed(int(task), text))
    return found


def synthetic(count: int = 3000, seed: int = 0) -> dict[str, list[Story]]:
    """Draws stories of people who move between rooms, and asks where one of them is.

    The answer is in the last sentence that names the person. Questions of task 1 ask where the
    person is (task 1 of bAbI), those of task 2 whether the person is in a room (task 6 of bAbI).

    Args:
        count: number of questions, one per story.
        seed: of the draws.

    Returns:
        {split: stories}, split by the hash of their sentences.
    """
    random = np.random.RandomState(seed)
    names, rooms = ("Mary", "John", "Sandra", "Daniel"), ("kitchen", "garden", "office", "hallway")
    found = []
    for _ in range(count):
        sentences, where = [], dict[str, tuple[str, int]]()
        for i in range(random.randint(2, 7)):
            name, room = (str(random.choice(each)) for each in (names, rooms))
            sentences.append(f"{name} {random.choice(['went', 'moved'])} to the {room}.")
            where[name] = room, i
        name = str(random.choice(sorted(where)))
        room, i = where[name]
        if random.randint(2):
            found.append(Story(1, tuple(sentences), f"Where is {name}?", room, (i,)))
            continue
        guess = room if random.randint(2) else str(random.choice(rooms))
        answer = "yes" if guess == room else "no"
        question = f"Is {name} in the {guess}?"
        found.append(Story(2, tuple(sentences), question, answer, (i,)))
    parts = by_hash([" ".join(each.sentences) for each in found])
    return {split: [found[i] for i in index] for split, index in parts.items()}
