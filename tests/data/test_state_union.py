"""The speeches: their text whole, their punctuation right, each in one split."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data import tfds
from dlcore.data.builders.state_union import plain
from dlcore.data.prepare import prepare

FOLDER = Path(__file__).parents[2] / "../shared/data/state_union"


def test_lines_are_paragraphs_and_two_encodings_are_read() -> None:
    raw = (
        b"TITLE \n \n\n One  a\t b. \r\n\xa1\xa7Peace,\xa1\xa8 he said\xa1Xit\xa1\xa6s \xbd\xa2\n\n"
    )
    assert plain(raw) == "TITLE\nOne a b.\n\u201cPeace,\u201d he said\u2014it\u2019s \u00bd\u00a2"


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs {FOLDER}")
def test_every_speech_is_in_one_split(tmp_path: Path) -> None:
    prepare("state_union", data_dir=tmp_path, manual_dir=FOLDER)
    found = {
        split: tfds.columns("state_union", split, data_dir=tmp_path)
        for split in ("train", "validation", "test")
    }
    assert {split: len(columns["text"]) for split, columns in found.items()} == {
        "train": 52,
        "validation": 7,
        "test": 6,
    }
    names = [name for columns in found.values() for name in columns["speech"]]
    assert len(set(names)) == 65
    assert sorted(found["test"]["speech"])[0] == "1955-Eisenhower"
    texts = [text for columns in found.values() for text in columns["text"]]
    assert sum(map(len, texts)) == 2_069_535
    assert not any("\xa1" in text or "\n\n" in text for text in texts)
