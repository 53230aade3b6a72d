"""Answers to questions on stories, with the sentence that was attended to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.babi import Encoder, Story
from dlcore.errors import UsageError
from dlcore.tasks import stories
from tests.tasks.test_questions import Nothing


@pytest.mark.slow
def test_stories_show_what_was_attended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories.jax, "jit", lambda f: f)

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        there = (batch["story"] == 2).any(-1)[:, None] * 1.0  # the sentence with "mary"
        return (jnp.array([[0.0, 3.0]]).repeat(len(there), 0), there), extra

    encoder = Encoder(("mary", "john"), ("hall", "garden"), 3, 4)
    each = stories.StoryPredictor(model, encoder, stories.StoryOptions())
    text = "John left.  Mary ran 👩🏽\u200d🚀! \r\n\r\n Émile sat.\r\nMary left\r\nJohn ran."
    line = json.dumps({"question": "Where is Mary?", "context": text})
    ((answer, _),) = each.batch(Nothing(), each.items([], [line]))  # type: ignore[arg-type]
    assert answer["answer"] == "garden"
    assert answer["evidence"] == "Mary left" == text[answer["start"] : answer["end"]]  # type: ignore[misc]
    assert answer["unknown_words"] == ["is", "left", "ran", "sat", "where", "émile"]
    assert answer["sentences_left_out"] == 2
    assert each.line(answer).startswith("Where is Mary?  garden  0.953  Mary left  (unknown: is,")
    assert each.line(answer).endswith("émile)  (the first sentences were left out: 2)")
    good, bad = each.items([], [f'{line}\n{{"question": "Who?"}}'])
    assert good == each.items([], [line])[0]
    assert isinstance(bad, UsageError)
    assert "the text, line 2: there is no 'context'" in str(bad)
    story = each.item({"question": "Who?", "context": text}).story
    assert story.sentences[1:4] == ("Mary ran 👩🏽\u200d🚀!", "Émile sat.", "Mary left")
    story = Story(1, ("a", "bc", "d"), "?", "x")
    assert stories.joined(story) == (story, "a\nbc\nd", ((0, 1), (2, 4), (5, 6)))
    # a file to train on: its questions are answered, without their answers
    file = tmp_path / "mine_test.txt"
    file.write_text(
        "1 Mary left.\n2 John ran.\n3 Who ran?\tJohn\t2\n1 John sat.\n2 Who?\tMary\t1\n"
    )
    first, second = each.items([file], [])
    assert first.context == "Mary left.\nJohn ran."
    assert (first.story.question, second.story.question) == ("Who ran?", "Who?")
    assert len(each.batch(Nothing(), [first, second])) == 2  # type: ignore[arg-type]
    file.write_text("1 Mary left.\n2 Who left?\tMary\t7\n")
    with pytest.raises(UsageError, match=r"mine_test\.txt, line 2: 7 is the number of no sentence"):
        each.items([file], [])
    file.write_text(f"\n{line}\n")
    assert each.items([file], []) == each.items([], [line])
    assert stories.attended(story, np.array([[0.1, 0.9]])) == 1  # of the last two sentences


def test_one_question_for_plain_texts(tmp_path: Path) -> None:
    each = stories.StoryPredictor(None, None, stories.StoryOptions("Who left?"))  # type: ignore[arg-type]
    file = tmp_path / "story.txt"
    file.write_text("1 Mary left.\nJohn ran. He fell.")  # a number does not make it bAbI's format
    (story,) = each.items([file], [])
    assert story.story.question == "Who left?"
    assert each.reads == "texts"
    assert story.story.sentences == ("1 Mary left.", "John ran.", "He fell.")
    assert each.items([], ["John ran."]) == [stories.story_text("Who left?", "John ran.")]


def test_words_that_are_not_read_are_counted_and_not_unknown() -> None:
    encoder = Encoder(("mary", "left", "who"), ("hall", "garden"), 1, 2)
    each = stories.StoryPredictor(None, encoder, stories.StoryOptions())  # type: ignore[arg-type]
    item = each.item({"question": "Who went there?", "context": "John ran. Mary left in haste."})
    answer, _ = each._answer(item, np.array([0.0, 3.0]), np.array([[1.0]]))
    assert answer["unknown_words"] == ["went"]
    assert (answer["sentences_left_out"], answer["words_left_out"]) == (1, 3)
    assert each.line(answer).endswith("  (the last words of long sentences were left out: 3)")
