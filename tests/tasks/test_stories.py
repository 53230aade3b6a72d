"""Answers to questions on stories, with the sentence that was attended to."""

from __future__ import annotations

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.babi import Encoder, Story
from dlcore.tasks import stories
from tests.tasks.test_questions import Nothing


def test_stories_show_what_was_attended_to(monkeypatch: pytest.MonkeyPatch) -> None:
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
    story = each.item({"question": "Who?", "context": text}).story
    assert story.sentences[1:4] == ("Mary ran 👩🏽\u200d🚀!", "Émile sat.", "Mary left")
    story = Story(1, ("a", "bc", "d"), "?", "x")
    assert stories.joined(story) == (story, "a\nbc\nd", ((0, 1), (2, 4), (5, 6)))
    assert stories.attended(story, np.array([[0.1, 0.9]])) == 1  # of the last two sentences
