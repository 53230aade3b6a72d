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


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        babi.load(tmp_path)
    with pytest.raises(UsageError, match="--tasks 21"):
        babi.load("offline", tasks=(21,))


def test_tasks_of_synthetic_stories() -> None:
    splits = babi.load("offline", "10k", tasks=(2,))
    assert splits.facts.tasks == [2]
    assert splits.facts.answers == ["no", "yes"]
    assert splits.train.info.split == "train"  # whose number of stories is always the same
    with pytest.raises(UsageError, match="--tasks 3: the stories of --offline have the tasks 1"):
        babi.load("offline", tasks=(1, 3))
