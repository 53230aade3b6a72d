"""bAbI's format, the rows that are made of it, and the synthetic stories."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data.sets import babi
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
TEXT = "\n".join(
    [
        "1 Mary moved to the hall.",
        "2 John left.",
        "3 Where is Mary? \thall\t1",
        "4 Mary fell.",
        "5 Who? \ta,b\t2 4",
    ]
)


def test_marks_belong_to_the_character_before_them() -> None:
    assert babi.words("Zoe\u0301 का दिल, दाल") == ["zoe\u0301", "का", "दिल", "दाल"]
    assert babi.words("Mary's apple-pie!") == ["mary's", "apple-pie"]


def test_a_story_by_hand() -> None:
    first, second = babi.parsed(7, TEXT)
    assert first.sentences == ("Mary moved to the hall.", "John left.")
    assert (first.question, first.answer, first.supporting) == ("Where is Mary?", "hall", (0,))
    assert (second.answer, second.supporting) == ("a,b", (1, 2))
    assert second.sentences == (*first.sentences, "Mary fell.")
    with pytest.raises(UsageError, match="line 2 of the story is 'John left'"):
        babi.parsed(1, "1 Mary.\nJohn left")


def test_the_last_sentence_comes_first() -> None:
    story = babi.parsed(1, TEXT)[1]
    encoder = babi.Encoder(("john", "left", "mary", "who"), ("a,b",), 2, 3)
    rows = encoder.encode([story])
    assert rows["story"].tolist() == [[[4, 1, 0], [2, 3, 0]]]  # the oldest is left out
    assert rows["question"].tolist() == [[5, 0, 0]]
    assert rows["task"].tolist() == [1]


@pytest.mark.slow
def test_synthetic_stories_have_right_answers() -> None:
    splits = babi.load("offline")
    for source in dict(splits.items()).values():
        for story in source.stories:  # type: ignore[attr-defined]
            (i,) = story.supporting
            name = story.sentences[i].split()[0]
            assert name in story.question
            assert not any(name in each for each in story.sentences[i + 1 :])
            inside = story.question.split()[-1].strip("?") in story.sentences[i]
            said = story.answer if story.task == 1 else ("yes" if inside else "no")
            assert said == story.answer
            assert story.task == 2 or story.answer in story.sentences[i]
    assert splits.facts.tasks == [1, 2]


def own(path: Path, count: int, end: str = "\n") -> Path:
    """A file of stories with two questions each."""
    lines = [
        line
        for i in range(count)
        for line in (f"1 Mary moved to hall {i}.", "2 Who moved?\tMary\t1", "3 Why?\tno\t1", "")
    ]
    path.write_bytes(end.join(lines).encode())
    return path


def test_own_files_are_split_by_story(tmp_path: Path) -> None:
    splits = babi.load(own(tmp_path / "mine.txt", 60, "\r\n"))
    found = {name: source.stories for name, source in splits.items()}  # type: ignore[attr-defined]
    contexts = {name: {each.sentences for each in stories} for name, stories in found.items()}
    assert sum(map(len, found.values())) == 120 == 2 * sum(map(len, contexts.values()))
    assert not contexts["train"] & contexts["test"]
    assert splits.facts.tasks == [0]
    assert splits.facts.answers == ["Mary", "no"]
    assert splits.test.info.split == "test by hash"


def test_own_files_have_babis_names(tmp_path: Path) -> None:
    own(tmp_path / "qa3_a_train.txt", 40)
    own(tmp_path / "qa7_b_train.txt", 40)
    own(tmp_path / "qa7_b_test.txt", 5)
    splits = babi.load(tmp_path)
    assert splits.facts.tasks == [3, 7]
    assert [each.task for each in splits.test.stories] == [7] * 10
    assert splits.test.info.split == "test"
    assert splits.validation.info.split == "validation by hash"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("1 A.\n2 B?\tc\t1\n1 A.\nB", 4, "'B' must be a number and a sentence"),
        ("A", 1, "'A' must be a number and a sentence"),
        ("1 A.\n3 B?\tc", 2, "the number 3 follows 1"),
        ("1 A.\n2 B?\tc\t2", 2, "2 is the number of no sentence before the question"),
        ("1 B?\tc", 1, "a question without a sentence before it"),
        ("1 A.\n2 B?\tc\n1 A.\n2 C.", 3, "the story has no question"),
    ],
)
def test_broken_files_are_refused_with_their_line(
    tmp_path: Path, content: str, line: int, message: str
) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(content)
    with pytest.raises(UsageError) as refused:
        babi.load(tmp_path)
    assert str(refused.value).startswith(f"{file}, line {line}: {message}")


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no files \.txt"):
        babi.load(tmp_path)
    with pytest.raises(UsageError, match="--tasks chooses among bAbI's"):
        babi.load(tmp_path, tasks=(1,))
    with pytest.raises(UsageError, match="--tasks 21"):
        babi.load("offline", tasks=(21,))


@pytest.mark.slow
def test_tasks_of_synthetic_stories() -> None:
    splits = babi.load("offline", "10k", tasks=(2,))
    assert splits.facts.tasks == [2]
    assert splits.facts.answers == ["no", "yes"]
    assert splits.train.info.split == "train"  # whose number of stories is always the same
    with pytest.raises(UsageError, match="--tasks 3: the stories of --offline have the tasks 1"):
        babi.load("offline", tasks=(1, 3))
