"""Own texts for classifiers, language models and translation: what the loaders make of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import tokenizer
from dlcore.data.own import corpus, pairs, texts
from dlcore.data.sets import pairs as pair_sets
from dlcore.data.sets import sentences, text
from dlcore.data.tokens import bpe
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick
LINES = [f"Line {i} of a text, said {i * i} times.\n" for i in range(100)]


def write(file: Path, content: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    return file


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_own_sentences_go_through_what_published_ones_go_through(
    tmp_path: Path, suffix: str
) -> None:
    file = made.texts(tmp_path / f"films{suffix}")
    subwords = bpe([sentences.plain("a good film, a poor film")], 265, sentences.SPECIALS)
    found = sentences.load("clinc_oos", file, subwords, 12)
    assert found.facts.classes == ["+", "-"]
    assert found.facts.by_hash == ["validation", "test"]
    assert "out_of_scope" not in found.facts
    assert sum(found.facts.examples.values()) == 80
    assert (found.test.info.name, found.test.info.split) == (file.name, "test by hash")
    for _, source in found.items():
        assert isinstance(source, sentences.Sentences)
        tokens = sentences.padded(subwords, source.texts, 12)
        np.testing.assert_array_equal(source.arrays["tokens"], tokens)
        assert source.arrays["label"].tolist() == [int("poor" in each) for each in source.texts]
    with pytest.raises(UsageError, match="--fold 3 is of the published set: leave it out"):
        sentences.load("sentence_polarity", file, subwords, 12, fold=3)


def test_a_text_that_occurs_twice_is_in_one_split(tmp_path: Path) -> None:
    file = made.texts(tmp_path / "a.csv")
    rows = file.read_text().splitlines()
    file.write_text("\n".join([*rows, *rows[1:]]))
    found, _ = texts.load(file)
    said = {split: {e.values[0] for e in examples} for split, examples in found.splits.items()}
    assert sum(map(len, said.values())) == 80


def test_texts_in_files_by_split(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("validation", 4), ("test", 6)):
        made.texts(tmp_path / f"{split}.csv", count)
    found, names = texts.load(tmp_path)
    assert names == ["+", "-"]
    assert {split: len(each) for split, each in found.splits.items()} == {
        "train": 8,
        "validation": 4,
        "test": 6,
    }
    write(tmp_path / "test.csv", "text,label\nbad,0\n")
    with pytest.raises(UsageError, match=r"test\.csv, line 2: the label '0' of test does not occ"):
        texts.load(tmp_path)
    write(tmp_path / "test.csv", "text,class\nbad,0\n")
    with pytest.raises(UsageError, match=r"test\.csv, line 1: there is no column 'label'"):
        texts.load(tmp_path)


def test_of_each_file_of_a_corpus_the_last_tenth_is_for_validation(tmp_path: Path) -> None:
    write(tmp_path / "own/a.txt", "".join(LINES))
    write(tmp_path / "own/deep/b.md", "x" * 50)
    found = corpus.load(tmp_path / "own")
    assert [*found] == ["train", "validation"]
    assert found["train"][0].endswith("times.\n")
    assert found["train"][0] + found["validation"][0] == "".join(LINES)
    assert 0.09 < len(found["validation"][0]) / len("".join(LINES)) <= 0.1
    assert (found["train"][1], found["validation"][1]) == ("x" * 45, "x" * 5)
    before = {*found["train"]}
    write(tmp_path / "own/0.txt", "another\n" * 20)
    assert before < {*corpus.load(tmp_path / "own")["train"]}


def test_windows_line_ends_of_a_corpus_are_those_of_linux(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("".join(LINES).replace("\n", "\r\n").encode())
    write(tmp_path / "b.txt", "".join(LINES))
    assert corpus.load(tmp_path / "a.txt") == corpus.load(tmp_path / "b.txt")


@pytest.mark.parametrize("layout", ["characters", "windows", "documents", "lines"])
def test_a_corpus_in_each_layout_with_a_vocabulary_of_its_own(tmp_path: Path, layout: str) -> None:
    for split, part in (("train", LINES[:80]), ("validation", LINES[80:90]), ("test", LINES[90:])):
        write(tmp_path / f"{split}.txt", "".join(part))
    if layout == "characters":
        found = text.load("tiny_shakespeare", tmp_path, 16)
        assert found.facts.vocabulary == len({*"".join(LINES)})
        used = tokenizer.from_facts(found.facts.tokenizer)
        assert used.decode(found.test.text) == "".join(LINES[90:])
    else:
        name = {"windows": "english_text", "documents": "state_union", "lines": "english_text"}
        found = text.load(
            name[layout],
            tmp_path,
            16,
            vocabulary=280,
            layout=layout,  # type: ignore[arg-type]
        )
        assert found.facts.vocabulary == 280
    assert found.names() == ["train", "validation", "test"]
    assert found.train.info.name == tmp_path.name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\n\xfc", r"a\.txt, line 2: byte 3 of the file \(0xfc\) is not UTF-8"),
        (b" \n", r"a\.txt holds no text: remove it"),
        (b"one line of text\n" * 3, "6 tokens for validation, too few for a row of 16 and its"),
    ],
)
def test_faults_of_a_corpus(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        text.load("tiny_shakespeare", tmp_path / "a.txt", 16)


def test_a_table_and_two_files_hold_the_same_pairs(tmp_path: Path) -> None:
    said = made.sentence_pairs()
    table = write(tmp_path / "a.tsv", "".join(f"{a}\t{b}\n" for a, b in said))
    write(tmp_path / "two/text.xx", "".join(f"{a}\n" for a, _ in said))
    write(tmp_path / "two/text.yy", "".join(f"{b}\n" for _, b in said))
    one, two = (pairs.load(path) for path in (table, tmp_path / "two"))
    assert one.by_hash == two.by_hash == ("validation", "test")
    for split, examples in one.splits.items():
        assert [e.values for e in examples] == [e.values for e in two.splits[split]]
    assert sorted(e.values for _, e in one.items()) == sorted(said)
    assert pairs.languages(tmp_path / "two") == ("xx", "yy")
    assert pairs.languages(table) == ("source", "target")
    for reverse in (False, True):
        found = pair_sets.load("multi30k_en_de", tmp_path / "two", 300, 32, reverse=reverse)
        assert found.facts.languages == (["yy", "xx"] if reverse else ["xx", "yy"])
        upper = found.test.source_texts if reverse else found.test.target_texts
        assert all(text == text.upper() for text in upper)
        assert found.test.info.split == "test by hash"


def test_files_called_source_and_target_and_files_by_split(tmp_path: Path) -> None:
    write(tmp_path / "a/target.txt", "x\n")
    write(tmp_path / "a/source.txt", "y\n")
    assert [e.values for _, e in pairs.find(tmp_path / "a").items()] == [("y", "x")]
    for split in ("train", "validation", "test"):
        write(tmp_path / f"b/{split}.en", f"{split}\n\n")
        write(tmp_path / f"b/{split}.de", f"{split.upper()}\n\n")
        write(tmp_path / f"c/{split}.tsv", f"source\ttarget\n{split.upper()}\t{split}\n")
    for folder in ("b", "c"):
        found = pairs.load(tmp_path / folder)
        assert {split: [e.values for e in each] for split, each in found.splits.items()} == {
            split: [(split.upper(), split)] for split in ("train", "validation", "test")
        }
    assert pairs.languages(tmp_path / "b") == ("de", "en")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.xx": "1\n2\n", "a.yy": "1\n"},
            r"a\.xx has 2 lines and .*a\.yy has 1 lines: line N of",
        ),
        ({"a.xx": "1\n2\n", "a.yy": "1\n\n"}, r"a\.yy, line 2: is empty, and that of the other"),
        ({"a.xx": "1", "a.yy": "1", "a.zz": "1"}, r"has 3 files \(a\.xx, a\.yy, a\.zz\): pairs ar"),
        ({"a.tsv": "a\tb\nc\n"}, r"a\.tsv, line 2: 1 columns: a pair is a source, a tab, a target"),
        ({"a.tsv": "a\tb\nc\t \n"}, r"a\.tsv, line 2: the pair has an empty side"),
        ({"a.tsv": "\n"}, "has no pairs for train"),
        ({"a.txt": "a\n"}, r"a\.txt holds no pairs: name a \.tsv file, or a folder of two files"),
        ({}, "holds no files: put some in"),
        ({"a.tsv": "a\tb\n"}, "of its 1 examples the hash puts none into"),
    ],
)
def test_faults_of_pairs(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        pairs.load(tmp_path)


def test_own_texts_that_are_cut_off_are_counted(tmp_path: Path) -> None:
    words = "a good film and a poor film"
    subwords = bpe([sentences.plain(words)], 265, sentences.SPECIALS)
    length = 2 + len(subwords.encode_all([sentences.plain(words)])[0])
    for split, texts_of_split in (
        ("train", [words, f"{words} a film", words]),
        ("test", [words] * 2),
    ):
        rows = [f"{text},{i % 2}" for i, text in enumerate(texts_of_split)]
        write(tmp_path / f"{split}.csv", "\n".join(["text,label", *rows]))
    write(tmp_path / "validation.csv", f"text,label\n{words},0\n{words} good film,1\n")
    write(tmp_path / "test.csv", f"text,label\n{words} a,0\n{words},1\n")  # lacks a separator alone
    with pytest.warns(UserWarning, match="longer than --length") as warned:
        sentences.load("clinc_oos", tmp_path, subwords, length)
    (warning,) = warned
    assert str(warning.message).startswith(
        f"1 of 3 texts of train, 1 of 2 texts of validation are longer than --length {length}: what"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sentences.load("clinc_oos", tmp_path, subwords, length + 20)


def test_own_pairs_that_are_too_long_to_train_on_are_counted(tmp_path: Path) -> None:
    corpus = made.sentence_pairs()
    for split, more in (("train", [("ab " * 40, "c"), ("a", "bc " * 40)]), ("validation", [])):
        write(tmp_path / f"{split}.tsv", "".join(f"{a}\t{b}\n" for a, b in [*corpus, *more]))
    write(tmp_path / "test.tsv", f"{'ab ' * 40}\tc\n")
    message = f"^2 of {len(corpus) + 2} pairs of train are longer than --longest 30 tokens and left"
    with pytest.warns(UserWarning, match=message) as warned:
        pair_sets.load("multi30k_en_de", tmp_path, 300, 32, 30)
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair_sets.load("multi30k_en_de", tmp_path, 300, 32)
