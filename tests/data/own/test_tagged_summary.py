"""What `dlcore data` says of tagged sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.cli import main as cli
from dlcore.data.own.kinds import kind
from dlcore.data.own.tagged_summary import summary

pytestmark = pytest.mark.quick


def columns(file: Path, *more: str) -> Path:
    lines = [f"Ann{i} B-PER\r\nLee I-PER\r\nruns O\r\nin O\r\nOslo B-LOC\r\n" for i in range(60)]
    file.write_bytes("\r\n".join([*lines, *more]).encode())
    return file


def test_spans_by_type_and_split(tmp_path: Path) -> None:
    file = columns(tmp_path / "news.conll")
    assert kind(file)[0] == "tagged"
    found = summary(file)
    assert not found.problems
    counts, sizes, *_ = found.tables
    assert counts.header == ("type", "train", "validation", "test")
    assert [row[0] for row in counts.rows] == ["LOC", "PER", "sentences"]
    assert all(sum(row[1:]) == 60 for row in counts.rows)
    assert sizes.rows == (("words of a sentence", 5, 5, 5),)
    assert found.examples[0].rows[0][1].endswith("Lee; LOC: Oslo")
    assert found.command == f"dlcore train ner_conll --data {file}"


def test_parts_of_speech_and_requests(tmp_path: Path) -> None:
    words = tmp_path / "words.conll"
    words.write_text("".join(f"dog{i}\tNOUN\nruns\tVERB\n\n" for i in range(60)))
    found = summary(words)
    assert found.tables[0].title == "Words"
    assert "train pos_ewt" in found.command
    spans = [{"start": 6, "end": 10, "label": "to"}]
    rows = [{"text": f"go to Oslo {i}", "spans": spans, "label": "flight"} for i in range(60)]
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert kind(file)[0] == "tagged"
    found = summary(file)
    assert not found.problems
    assert "train slots_atis" in found.command
    assert found.examples[0].rows[0][1] == "to: Oslo"


def test_the_command_lists_all_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = columns(tmp_path / "news.conll", "alone", "many B-PER more", "")
    assert cli.main(["data", str(file)]) == 1
    out = capsys.readouterr().out
    assert "taken for tagged" in out
    assert "2 problems:" in out
    assert f"{file}, line 361: 1 columns, and not 2 as in line 1" in out
    assert f"{file}, line 362: 3 columns, and not 2 as in line 1" in out


def test_duplicates_are_numbered_within_their_split(tmp_path: Path) -> None:
    for split, word in (("train", "Ann"), ("validation", "Bo"), ("test", "Ann")):
        (tmp_path / f"{split}.conll").write_text(f"{split} O\n\n{word} B-PER\n")
    *_, same = summary(tmp_path).tables
    assert same.rows == (("train and test", "sentence 2 of train", "sentence 2 of test", ""),)
