"""Sentiment and intents: prepared without TensorFlow, and no tested text in training."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data import tfds
from dlcore.data.builders import sst2
from dlcore.data.prepare import prepare

FOLDER = Path(__file__).parents[2] / "../shared/data"


def given(name: str) -> pytest.MarkDecorator:
    missing = not (FOLDER / name).is_dir()
    return pytest.mark.skipif(missing, reason=f"needs shared/data/{name}")


def test_sentences_are_spelt_as_the_phrases_are() -> None:
    assert sst2.of_sentences(["1 -lrb- a -rrb-  9\\/11 \\*\\* "]) == [("( a ) 9/11 **", 1)]
    assert sst2.of_glue(["label\tsentence", "0\tno wit , no fun "]) == [("no wit , no fun", 0)]


def test_phrases_of_held_out_sentences_alone_are_not_for_training() -> None:
    sentences = [f"a{n} fine film of color {n}" for n in range(40)]
    phrases = [(text, 1) for text in sentences]
    phrases += [("fine film", 1), ("no sentence", 0), ("a0 fine", 1), ("color , 1", 0)]
    train, validation = sst2.divided(
        phrases, [text.replace("color", "colour") for text in sentences], phrases[:40], []
    )
    held_out = {text for text, _ in validation}
    assert 0 < len(held_out) < 12
    texts = {text for text, _ in train}
    assert "fine film" in texts
    assert "no sentence" not in texts
    assert texts & {*sentences} == {*sentences} - held_out
    assert ("a0 fine" in texts) == (sentences[0] not in held_out)
    kept = next(text for text in sentences if text not in held_out)
    without, _ = sst2.divided(phrases, sentences, phrases[:40], [f"{kept} !"])
    assert texts - {text for text, _ in without} == {kept}


@pytest.mark.nightly
@given("sst2")
def test_no_phrase_of_training_is_tested(tmp_path: Path) -> None:
    prepare("sst2", data_dir=tmp_path, manual_dir=FOLDER / "sst2")
    names = ("train", "validation", "test", "glue_dev")
    found = {split: tfds.columns("sst2", split, data_dir=tmp_path) for split in names}
    assert [len(found[split]["text"]) for split in names] == SIZES
    assert [sum(found[split]["label"]) for split in ("test", "glue_dev")] == [909, 444]
    texts = {split: {*found[split]["text"]} for split in names}
    for split in names[1:]:
        assert not texts["train"] & texts[split]
    assert not texts["validation"] & texts["test"]
    assert not any("-lrb-" in text or "\\" in text for each in texts.values() for text in each)


SIZES = [61_217, 668, 1821, 872]


@pytest.mark.slow
@given("banking77")
def test_intents_are_all_there(tmp_path: Path) -> None:
    prepare("banking77", data_dir=tmp_path, manual_dir=FOLDER / "banking77")
    found = {split: tfds.columns("banking77", split, data_dir=tmp_path) for split in SPLITS}
    assert [len(columns["text"]) for columns in found.values()] == [10_003, 3080]
    assert all(len(set(columns["intent"])) == 77 for columns in found.values())
    assert found["train"]["text"][0].strip()


SPLITS = ("train", "test")
