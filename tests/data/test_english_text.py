"""The pretraining corpus: each kind of file is read as texts, and other files than those are
refused.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from dlcore.data.builders import english_text
from dlcore.data.builders.english_text import HELD_BACK, KINDS, Kind, documents
from dlcore.errors import UsageError


def test_each_kind_of_file_is_read_as_texts() -> None:
    wiki = (
        b" \n = Lobster = \n \n A <unk> is red @-@ hot . \n = = Food = = \n It eats . \n = Crab ="
        b" \n \n Walks . \n"
    )
    assert list(KINDS["wikitext2"].read(wiki)) == [
        "A  is red-hot . \n = = Food = = \n It eats .",
        "Walks .",
    ]
    dialogue = json.dumps([{"turns": [{"utterance": "Hi"}, {"utterance": "Yes?"}]}]).encode()
    assert list(KINDS["sgd_dialogue"].read(dialogue)) == ["Hi\nYes?"]
    coffee = json.dumps([{"utterances": [{"text": "One latte"}, {"api": "x"}]}]).encode()
    assert list(KINDS["taskmaster4"].read(coffee)) == ["One latte\n"]
    tree = (
        b"# newdoc id = a\n# text = We saw it .\n1\tWe\n\n# text = Good .\n1\tGood\n# newdoc id ="
        b" b\n# text = No .\n"
    )
    assert list(KINDS["ud_english_ewt"].read(tree)) == ["We saw it .\nGood .", "No ."]
    assert list(KINDS["banking77"].read(b'text,category\n"Where, is it?",card\n')) == [
        "Where, is it?"
    ]
    assert list(KINDS["gap"].read(b'ID\tText\n1\tShe said "no.\n')) == ['She said "no.']
    squad = {
        "data": [{"paragraphs": [{"context": "It rains.", "qas": [{"question": "Does it?"}]}]}]
    }
    assert list(KINDS["xquad"].read(json.dumps(squad).encode())) == ["It rains.\nDoes it?"]
    assert [text.count("\n") for text in KINDS["multi30k"].read(b"a\n" * 60)] == [24, 24, 9]


def test_no_corpus_that_is_tested_on_is_in_it() -> None:
    assert not [
        kind for kind in KINDS.values() if "polarity" in kind.files or "clinc" in kind.files
    ]
    # the first four with what others test on
    whole = {"gap", "wikitext2", "xquad", "state_union", "tanaka", "taskmaster4"}
    assert {name for name, kind in KINDS.items() if "train" not in kind.files} <= whole


def test_validation_is_held_back_and_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = gzip.compress(
        "\n".join(f"sentence {n}" for n in range(25 * HELD_BACK)).encode(), mtime=0
    )
    (tmp_path / "text.gz").write_bytes(content)
    kind = Kind("*.gz", hashlib.sha256(content).hexdigest(), KINDS["tanaka"].read)
    monkeypatch.setattr(english_text, "KINDS", {"tanaka": kind})
    builder = english_text.Builder(data_dir=tmp_path / "prepared")
    train, held = (
        [text["text"] for _, text in builder._generate_examples(tmp_path, back)]
        for back in (False, True)
    )
    assert (len(train), len(held)) == (HELD_BACK - 1, 1)
    assert held[0].startswith(f"sentence {25 * (HELD_BACK - 1)}\n")
    with pytest.raises(
        UsageError, match=r"the 1 files \*.gz in .* are not those that the set is made of"
    ):
        list(documents(tmp_path, kind._replace(sha256="0")))
    with pytest.raises(UsageError, match=r"text\.xz must be given: dlcore prepare english_text"):
        list(documents(tmp_path, kind._replace(files="text.xz")))
