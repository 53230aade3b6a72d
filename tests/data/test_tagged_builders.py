"""Builders of tagged sentences: what is read of small archives of the same form."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
from pathlib import Path

import pytest

from dlcore.data.builders import atis, conll2003_en, wnut17
from dlcore.data.builders.files import File
from dlcore.data.prepare import prepare
from dlcore.data.sets import tagged


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("name", "separator"), [("conll2003_en", " "), ("wnut17", "\t")])
def test_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, separator: str
) -> None:
    module = {"conll2003_en": conll2003_en, "wnut17": wnut17}[name]
    rows = ["-DOCSTART- -X- O O", "", "Ann I-PER", "Lee I-PER", "Bo B-PER", "", "", "no O", ""]
    content = "\n".join(rows).replace(" ", separator).encode()
    packed = (lzma if name == "conll2003_en" else gzip).compress(content)
    files = {}
    for split, file in module.FILES.items():
        (tmp_path / file.name).write_bytes(packed)
        files[split] = File(file.name, sha256(tmp_path / file.name))
    monkeypatch.setattr(module, "FILES", files)
    prepare(name, data_dir=tmp_path / "data", manual_dir=tmp_path, say=lambda _: None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    splits = tagged.load(name, "published", 8, rarest=1)
    sentences = sorted(splits.test.sentences, key=lambda each: len(each.words))
    assert [each.words for each in sentences] == [("no",), ("Ann", "Lee", "Bo")]
    assert sentences[1].tags == ("B-PER", "I-PER", "B-PER")


def test_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "atis.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for folder in atis.FOLDERS.values():
            archive.writestr(f"{folder}/seq.in", "fly to oslo \nfare to rome\n")
            archive.writestr(f"{folder}/seq.out", "O O B-to\nO O B-to\n")
            archive.writestr(f"{folder}/label", "flight\nfare\n")
    monkeypatch.setattr(atis, "ARCHIVE", File(path.name, sha256(path)))
    prepare("atis", data_dir=tmp_path / "data", manual_dir=tmp_path, say=lambda _: None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    splits = tagged.load("atis", "published", 8, rarest=1)
    assert splits.facts.intents == ["fare", "flight"]
    assert splits.facts.classes == ["O", "B-to", "I-to"]
    assert {each.label for each in splits.train.sentences} == {"fare", "flight"}
