"""Pretrained readers: a warning where their text has SQuAD's development set."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from dlcore.data.facts import Facts
from dlcore.data.sets.question_windows import Encoder, Lengths, Question, encoded
from dlcore.data.splits import Splits
from dlcore.tasks import question_weights
from dlcore.train.weights import Weights

pytestmark = pytest.mark.quick

CLEAN = "english_text without xquad, taskmaster4"


def splits(name: str = "squad_v11_dev") -> Splits:
    questions = [Question("Who?", "Bob.", ("Bob",), (0,))]
    windows = encoded(questions, Encoder(Lengths(4, 2, 4, 4), ()), (name, "1", "test"))
    return Splits.of(train=windows, test=windows)


def run(folder: Path, corpus: str, **config: Any) -> str:
    folder.mkdir()
    card = {"data": {"train": {"name": corpus}}, "config": config}
    (folder / "card.json").write_text(json.dumps(card))
    return str(folder)


def test_weights_that_have_read_the_test_are_named_in_a_warning(tmp_path: Path) -> None:
    found = run(tmp_path / "found", "english_text", without=[])
    some = run(tmp_path / "some", "english_text without gap", without=["gap"])
    for path in (found, some):
        message = r"this run learned from english_text with its xquad.*bert_english --preset clean"
        with pytest.warns(UserWarning, match=message):
            given = question_weights.load(path, splits())
        assert given == {"net/text": Weights(Path(path), "net/text")}
    again = run(tmp_path / "again", "clinc_oos", pretrained=True)
    with pytest.warns(UserWarning, match="began with other weights"):
        question_weights.load(again, splits())


def test_weights_that_do_not_name_their_text_are_named_in_a_warning(tmp_path: Path) -> None:
    (file := tmp_path / "bert_english.npz").touch()
    (damaged := tmp_path / "damaged").mkdir()
    (damaged / "card.json").write_text('{"data": []}')
    for path in (file, damaged):
        with pytest.warns(UserWarning, match=r"no card\.json.*bert_english --preset clean"):
            question_weights.load(str(path), splits())


def test_other_weights_and_other_data_are_taken_without_a_warning(tmp_path: Path) -> None:
    clean = run(tmp_path / "clean", CLEAN, without=["xquad", "taskmaster4"])
    other = run(tmp_path / "other", "documentation", without=[])
    (file := tmp_path / "bert_english.npz").touch()
    opened, facts = splits(), splits().facts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in (clean, other, "", str(tmp_path / "gone")):
            question_weights.load(path, opened)
        question_weights.load(str(file), splits("synthetic facts"))
        # `dlcore predict` opens no data
        question_weights.load(str(file), Splits.from_facts(Facts(facts)))
