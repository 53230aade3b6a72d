"""One's own tagged sentences: columns and JSON lines, and what is wrong with them, by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.data.own.tagged import find, has_spans, load, of_text
from dlcore.data.own.tagged_summary import summary
from dlcore.data.sets import tagged as sets
from dlcore.data.tag_schemes import Span
from dlcore.data.word_spans import words_of
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def columns(count: int = 80, end: str = "\n") -> str:
    lines = ["-DOCSTART- -X- O O", ""]
    for i in range(count):
        lines += [f"Ann{i} NNP I-NP I-PER", "lives VBZ I-VP O", f"Oslo{i} NNP I-NP I-LOC", ""]
    return end.join(lines)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_with_any_line_ends(tmp_path: Path, end: str) -> None:
    file = tmp_path / "news.conll"
    file.write_bytes(columns(end=end).encode())
    found = load(file)
    assert found.by_hash == ("validation", "test")
    assert sum(map(len, found.splits.values())) == 80
    first = found.splits["train"][0]
    assert first.tags == ("B-PER", "O", "B-LOC")
    assert first.text[slice(*first.offsets[2])] == first.words[2]
    splits = sets.load("conll2003_en", file, 8)
    assert splits.facts.classes == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert splits.test.info.split == "test by hash"


def test_a_line_of_other_columns_is_named(tmp_path: Path) -> None:
    file = tmp_path / "news.conll"
    file.write_text("Ann B-PER\r\nlives O\r\n\r\nOslo\r\nis O here\r\n", newline="")
    with pytest.raises(UsageError, match=r"news\.conll, line 4: 1 columns, and not 2 as in line 1"):
        load(file)
    file.write_text("Ann\tB-PER\nlives\t\n")
    with pytest.raises(UsageError, match=r"news\.conll, line 2: column 2 is empty"):
        load(file)
    file.write_text("Ann PERSON\nlives O\n")
    with pytest.raises(UsageError, match=r"line 1: 'PERSON' is neither O nor a tag such as B-PER"):
        load(file)
    assert load(many(tmp_path / "pos.conll"), spans=False).splits["train"][0].tags == (
        "NOUN",
        "VERB",
    )


def many(file: Path) -> Path:
    file.write_text("".join(f"dog{i}\tNOUN\nruns\tVERB\n\n" for i in range(60)))
    return file


def test_json_lines_have_offsets_into_the_text(tmp_path: Path) -> None:
    text = "Zoë 🙂 met José\u0301 in São Paulo."
    rows = [
        {"text": f"{text} {i}", "spans": [{"start": 0, "end": 3, "label": "PER"}], "label": "x"}
        for i in range(60)
    ]
    start = text.index("São")
    rows[0]["spans"].append({"start": start, "end": start + 9, "label": "LOC"})  # type: ignore[attr-defined]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    found = [each for split in load(file).splits.values() for each in split]
    assert len(found) == 60
    for each in found:
        assert [each.text[a:b] for a, b in each.offsets] == list(each.words)
    (one,) = (each for each in found if "B-LOC" in each.tags)
    at = one.tags.index("B-LOC")
    assert one.words[at : at + 2] == ("São", "Paulo")
    assert one.tags[at : at + 2] == ("B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[1]", "there is no text"),
        ('{"text": "a b", "spans": [{"start": 1, "end": 1, "label": "X"}]}', "is empty"),
        ('{"text": "a b", "spans": [{"start": 1, "end": 9, "label": "X"}]}', "leaves the text"),
        ('{"text": "a b", "spans": [{"start": "0", "end": 1, "label": "X"}]}', "whole numbers"),
        ('{"text": "a  b", "spans": [{"start": 1, "end": 3, "label": "X"}]}', "holds no word"),
        ("{text}", "Expecting property name"),
        (
            '{"text": "ab cd ef", "spans": [{"start": 0, "end": 5, "label": "X"},'
            ' {"start": 3, "end": 8, "label": "Y"}]}',
            r"start=3, end=8, type='Y'\) overlaps Span\(start=0, end=5",
        ),
        ('{"text": "  "}', "has no words"),
    ],
)
def test_a_faulty_json_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(UsageError, match=f"own.jsonl, line 2: .*{fault}"):
        load(file)


def test_sentences_all_have_a_label_or_none(tmp_path: Path) -> None:
    span = {"start": 6, "end": 10, "label": "to"}
    rows = [
        {"text": f"go to Oslo {i}", "spans": [span], "label": ("go", "ask")[i % 2]}
        for i in range(100)
    ]
    file = tmp_path / "own.jsonl"
    write = lambda: file.write_text("\n".join(map(json.dumps, rows)))  # noqa: E731
    write()
    assert sets.load("atis", file).facts.intents == ["ask", "go"]
    del rows[7]["label"]
    rows[9]["label"] = ""
    write()
    fault = r"own\.jsonl, line 8: there is no `label`, which 98 of 100 sentences have"
    with pytest.raises(UsageError, match=fault):
        sets.load("atis", file)
    assert "own.jsonl, line 8: there is no `label`" in summary(file).problems[0]
    assert sets.load("wnut17", file).facts.intents == []  # names have no use for labels
    for row in rows:
        row.pop("label", None)
    write()
    assert sets.load("atis", file).facts.intents == []
    assert not summary(file).problems


def test_words_of_a_text() -> None:
    text = "John's U.S. visit (2021-03-04): #fun @ann https://a.b/c?d 👩‍🚀!"
    words = [text[start:end] for start, end in words_of(text)]
    assert words[:4] == ["John", "'s", "U.S.", "visit"]
    assert {"2021-03-04", "#fun", "@ann", "https://a.b/c?d"} <= {*words}
    assert "".join(words) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't", ["do", "n't"]),
        ("CAN’T", ["CA", "N’T"]),
        ("isn't it", ["is", "n't", "it"]),
        ("gov't", ["gov", "'t"]),
        ("n't", ["n't"]),
        ("in 'Oslo' today", ["in", "'", "Oslo", "'", "today"]),
        ("rock ’n’ roll", ["rock", "’", "n", "’", "roll"]),
        ("Zoe\u0301's", ["Zoe\u0301", "'s"]),
    ],
)
def test_negations_are_words(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in words_of(text)] == words


def test_words_do_not_depend_on_the_spans() -> None:
    text = "The 'Oslo-based' firm"
    found = of_text(text, [Span(5, 9, "LOC"), Span(15, 21, "ORG")])
    assert found.words == of_text(text).words == ("The", "'", "Oslo-based", "'", "firm")
    assert found.tags == ("O", "O", "B-LOC", "B-ORG", "I-ORG")
    assert found.widened == (("Oslo", "Oslo-based"),)
    with pytest.raises(ValueError, match="part of the word 'Ann/Tom', and so does another span"):
        of_text("Ann/Tom", [Span(0, 3, "PER"), Span(4, 7, "PER")])
    chinese = of_text("我在上海A1市。", [Span(2, 4, "LOC")])
    assert chinese.words == ("我", "在", "上", "海", "A1", "市", "。")
    assert chinese.tags[2:4] == ("B-LOC", "I-LOC")
    assert not chinese.widened


def test_widened_spans_are_warned_of(tmp_path: Path) -> None:
    row = {"text": "Oslo-based firm", "spans": [{"start": 0, "end": 4, "label": "LOC"}]}
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    fault = "3 spans begin or end within a word, such as 'Oslo' in 'Oslo-based'"
    with pytest.warns(UserWarning, match=fault):
        load(tmp_path)
    assert any(fault in line for line in summary(tmp_path).lines)


def test_a_split_of_a_line_is_refused_and_null_is_no_label(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"text": "a", "spans": [], "split": "test"}\n')
    with pytest.raises(UsageError, match="line 1: `split` is not read of such lines"):
        load(file)
    file.write_text('{"text": "a", "spans": [], "label": null}\n')
    assert find(file)[0].splits["train"][0].label == ""


def test_a_faulty_first_line_is_the_fault(tmp_path: Path) -> None:
    file = tmp_path / "own.conll"
    file.write_text("Ann\nlives O\nin O\n\nBo B-PER\n10\u00a0000 O\n", "utf-8")
    with pytest.raises(UsageError, match="line 1: 1 columns, and not 2 as in line 2") as raised:
        load(file)
    assert "more in" not in str(raised.value)
    lines = tmp_path / "own.jsonl"
    lines.write_text('{"text": \n{"text": "a", "spans": []}\n')
    assert has_spans(lines)
    lines.write_text('{"text": "half \\ud83d", "spans": []}\n')
    with pytest.raises(UsageError, match=r"own\.jsonl, line 1: .*half of a character"):
        load(lines)
