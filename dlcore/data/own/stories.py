"""One's own stories with questions, in files of bAbI's format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import Example, Found
from dlcore.errors import UsageError

# a number and a sentence; or a number, a question, its answer and numbers of sentences
LINE = re.compile(r"(\d+) ([^\t]+)(?:\t([^\t]+)(?:\t([\d ]*))?)?")
FORM = (
    "a number and a sentence, or a number, a question, an answer and numbers of sentences between"
    " tabulators"
)
_TASK = re.compile(r"qa(\d+)_")
_ENDS = {"_train": "train", "_valid": "validation", "_test": "test"}  # of bAbI's own files


def find(path: Path) -> Found:
    """Finds the stories of a path; `values` are (a story as it is written, number of its task).

    Args:
        path: a .txt file of bAbI's format, or a folder of them. A line with the number 1 begins a
            story. Splits are files train.txt, validation.txt and test.txt, folders of these names,
            or files that end in _train, _valid and _test, as bAbI's do (others are for train). The
            task of a file qa7_NAME.txt is "7", of other files "0".

    Returns:
        The examples by split; faults of files and lines are in its `problems`.
    """
    found = Found(path)
    try:
        grouped, given = files.grouped(path, (".txt",), strict=False)
        if not given:
            grouped = _by_ending(grouped["train"])
    except UsageError as error:
        found.problems.append(str(error))
        return found
    found.read(grouped, lambda file: _examples(file, found.problems))
    if not found.problems and not found.splits.get("train"):
        found.problems.append(f"{path} has no stories for train: add some")
    return found


def begins_with_story(file: Path) -> bool:
    """Returns whether a file begins with a story of bAbI's format, up to a question with an answer.

    Its `files.beginning` is read: `find` names what is no UTF-8.
    """
    if file.suffix.lower() != ".txt":
        return False
    for number, line in enumerate(filter(str.strip, files.beginning(file)), start=1):
        match = LINE.fullmatch(line.rstrip())
        if match is None or int(match[1]) != number:
            return False
        if match[3] is not None:
            return number > 1  # a question follows a sentence
    return False


def is_one(file: Path) -> bool:
    """Returns whether a file is .txt and its first line, blank ones skipped, is no JSON object.

    Raises:
        UsageError: as `files.text`.
    """
    if file.suffix.lower() != ".txt":
        return False
    return not files.text(file).lstrip().startswith("{")


def questions(story: Example) -> int:
    """Counts the questions of a story, with the values that `find` describes."""
    matches = (LINE.fullmatch(line) for line in story.values[0].splitlines())
    return sum(match is not None and match[3] is not None for match in matches)


def read(file: Path) -> list[Example]:
    """Reads the stories of one file, with the values that `find` describes.

    Raises:
        UsageError: the first of its faults, with its line.
    """
    problems: list[str] = []
    found = list(_examples(file, problems))
    if problems:
        more = f" ({len(problems) - 1} more in {file})" if len(problems) > 1 else ""
        raise UsageError(problems[0] + more)
    return found


def load(path: Path) -> Found:
    """Loads the stories of a path; missing splits are cut from train by the hash of each story.

    Args:
        path: see `find`.

    Raises:
        UsageError: a fault in the files, or a split that the hash leaves empty.
    """
    found = find(path)
    found.refuse()
    found.divide(lambda examples: [example.values[0] for example in examples])
    found.refuse()
    return found


def _by_ending(paths: list[Path]) -> dict[str, list[Path]]:
    """The files of each split by the end of their names; all are for train where none has one."""
    found: dict[str, list[Path]] = {"train": []}
    for path in paths:
        end = next((end for end in _ENDS if path.stem.endswith(end)), "_train")
        found.setdefault(_ENDS[end], []).append(path)
    return found


def _examples(file: Path, problems: list[str]) -> Iterator[Example]:
    """The stories of a file; the first fault of each is appended to `problems`."""
    named = _TASK.match(file.name)
    task = named[1] if named else "0"
    lines, starts = files.lines(file), list[int]()
    for i, line in enumerate(lines):
        if line.startswith("1 ") or (not starts and line.strip()):
            starts.append(i)
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        fault = _fault(lines[start:stop])
        if fault is not None:
            problems.append(f"{file}, line {start + 1 + fault[0]}: {fault[1]}")
            continue
        story = "\n".join(line.rstrip() for line in lines[start:stop] if line.strip())
        yield Example(f"{file}, line {start + 1}", (story, task))


def _fault(lines: list[str]) -> tuple[int, str] | None:
    """The index of the first faulty line of a story and what is wrong with it; None: nothing."""
    before, sentences, answers = 0, set[int](), 0
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.rstrip())
        if match is None:
            return i, f"{line!r} must be {FORM}"
        number = int(match[1])
        if number != before + 1:
            return i, f"the number {number} follows {before}: count on, and begin a story with 1"
        before = number
        if match[3] is None:
            sentences.add(number)
            continue
        if not sentences:
            return i, "a question without a sentence before it: add what it asks about"
        given = [int(each) for each in (match[4] or "").split()]
        if wrong := [each for each in given if each not in sentences]:
            return i, f"{wrong[0]} is the number of no sentence before the question"
        answers += 1
    return None if answers else (0, "the story has no question, with a tabulator and its answer")
