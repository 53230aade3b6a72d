"""`dlcore prepare text`, and language models on what it writes."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.cli.main import main
from dlcore.data import token_shards, tokenizer
from dlcore.data.own import prepare_text
from dlcore.data.own.prepare_text import END, prepare
from dlcore.data.sets import dialogues, text
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
LINES = [f"Line {i} of a text, with “quotes” and {i * i} numbers.\n" for i in range(120)]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepare_text, "_BLOCK", 700)  # many blocks


def texts(folder: Path) -> Path:
    for name, part in (("a", LINES[:50]), ("b", [*LINES[50:], "\n\n  An end\r\n\n"])):
        file = folder / "texts" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes("".join(part).encode())
    return folder / "texts"


def quiet(*arguments: Any) -> Path:
    return prepare(*arguments, say=lambda _: None)


def split_of(folder: Path, split: str) -> np.ndarray:
    tokens = token_shards.tokens_of(folder, token_shards.read_facts(folder), split)
    return tokens.read(0, len(tokens))


@pytest.mark.parametrize("shard", [1 << 27, 1000, 997])
def test_characters_are_those_of_texts_that_are_read_at_once(tmp_path: Path, shard: int) -> None:
    folder = quiet([texts(tmp_path)], "characters", tmp_path / "out", shard)
    stored = text.load("tiny_shakespeare", folder, 16)
    direct = text.load("tiny_shakespeare", texts(tmp_path), 16)
    assert stored.facts.tokenizer == direct.facts.tokenizer
    assert stored.facts.examples == direct.facts.examples
    for split in ("train", "validation"):
        index = np.arange(len(stored[split]))
        batch = stored[split].gather(index)
        for name, array in direct[split].gather(index).items():
            np.testing.assert_array_equal(batch[name], array)
            assert batch[name].dtype == array.dtype
    files = json.loads((folder / "facts.json").read_text())["splits"]["train"]["files"]
    assert [each["tokens"] for each in files[:-1]] == [shard] * (len(files) - 1)


@pytest.mark.parametrize("kind", ["bytes", "characters", "bpe:300"])
def test_decoding_gives_the_texts_back(tmp_path: Path, kind: str) -> None:
    folder = quiet([texts(tmp_path)], kind, tmp_path / "out")
    used = tokenizer.from_facts(token_shards.read_facts(folder)["tokenizer"])
    separator = "" if kind.startswith("bpe") else "\n\n"
    files = sorted(texts(tmp_path).iterdir())
    expected = [file.read_bytes().decode().replace("\r\n", "\n") for file in files]
    parts = [used.decode(split_of(folder, split)) for split in ("train", "validation")]
    assert sum(map(len, parts)) == sum(map(len, expected)) + 2 * len(separator)
    assert parts[0].startswith(expected[0][:1000])
    assert parts[1].endswith(expected[1][-100:])


@pytest.mark.parametrize("block", [1, 2, 5, 700])
def test_windows_line_ends_are_those_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(prepare_text, "_BLOCK", block)
    found = []
    for name, end in (("linux", "\n"), ("windows", "\r\n")):
        file = tmp_path / name / "a.txt"
        file.parent.mkdir()
        file.write_bytes("".join(LINES[:12]).replace("\n", end).encode() + b"\r\r\nz")
        folder = quiet([file], "characters", tmp_path / f"{name}.tokens")
        found.append([split_of(folder, split).tolist() for split in ("train", "validation")])
        direct = text.load("tiny_shakespeare", file, 8)
        assert direct.validation.text.tolist() == found[-1][1]
    assert found[0] == found[1]


def test_byte_pairs_of_blocks_are_those_of_whole_documents(tmp_path: Path) -> None:
    folder = quiet([texts(tmp_path)], "bpe:300", tmp_path / "out")
    used = tokenizer.from_facts(token_shards.read_facts(folder)["tokenizer"])
    end = used.special(END)
    for split in ("train", "validation"):
        tokens = split_of(folder, split)
        borders = np.flatnonzero(tokens == end)
        assert (len(borders), borders[0], borders[-1]) == (3, 0, len(tokens) - 1)
        for first, last in itertools.pairwise(borders):
            document = tokens[first + 1 : last]
            np.testing.assert_array_equal(used.encode(used.decode(document)), document)


def test_tokens_without_those_of_dialogues_are_refused_before_training(tmp_path: Path) -> None:
    folder = quiet([texts(tmp_path)], "bpe:300", tmp_path / "out")
    load = functools.partial(text.load, "english_text", folder, 16, layout="documents")
    assert load(vocabulary=300).facts.end is not None
    with pytest.raises(UsageError, match=r"lacks <\|turn\|>, .* by which dialogues are written"):
        load(vocabulary=300, specials=dialogues.SPECIALS)


def test_documents_do_not_see_each_other(tmp_path: Path) -> None:
    for number in range(6):
        file = tmp_path / "texts" / "train" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(LINES[number] * (1 + number))
    (tmp_path / "texts" / "validation").mkdir()
    (tmp_path / "texts" / "validation" / "a.txt").write_text(LINES[7] * 3)
    folder = quiet([tmp_path / "texts"], "bpe:280", tmp_path / "out")
    load = {"vocabulary": 280, "layout": "documents", "overlap": 4}
    splits = text.load("state_union", folder, 32, **load)
    end, stream = splits.facts.end, split_of(folder, "train")
    assert splits.facts.stride == 8
    batch = splits.train.gather(np.arange(len(splits.train)))
    for row in range(len(splits.train)):
        segment, position = 0, -1
        for column in range(32):
            at = 8 * row + column
            if at + 1 >= len(stream):
                assert not batch["weight"][row, column]
                assert not batch["segment"][row, column]
                continue
            first = stream[at] == end or column == 0
            segment, position = (segment + 1, 0) if first else (segment, position + 1)
            expected = (stream[at], stream[at + 1], segment, position, 1)
            names = ("tokens", "targets", "segment", "position", "weight")
            assert tuple(batch[name][row, column] for name in names) == expected
    inside = batch["weight"] > 0
    assert batch["bytes"][inside & (batch["targets"] == end)].max() == 0
    whole = splits.validation.gather(np.arange(len(splits.validation)))
    assert (whole["bytes"] * whole["weight"]).sum() == len(3 * LINES[7].encode())
    with pytest.raises(UsageError, match="of a vocabulary of 280, and the model expects 2048"):
        text.load("state_union", folder, 32, vocabulary=2048, layout="documents")
    with pytest.raises(UsageError, match="normalises the lines of texts"):
        text.load("english_text", folder, 32, vocabulary=280, layout="lines")


def test_damaged_tokens_are_refused(tmp_path: Path) -> None:
    folder = quiet([texts(tmp_path)], "bytes", tmp_path / "out")
    text.load("tiny_shakespeare", folder, 16)
    with pytest.raises(UsageError, match="have none between documents"):
        text.load("state_union", folder, 16, vocabulary=256, layout="documents")
    file = folder / "train-00000.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"train-00000\.bin has another checksum"):
        text.load("tiny_shakespeare", folder, 16)
    file.write_bytes(content[:-2])
    with pytest.raises(UsageError, match=r"train-00000.bin has \d+ bytes, not \d+"):
        text.load("tiny_shakespeare", folder, 16)


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    def refused(message: str, paths: list[Path], kind: str = "bytes") -> None:
        with pytest.raises(UsageError, match=message):
            quiet(paths, kind, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".*"))

    refused("'words' is no tokenizer: choose bytes", [texts(tmp_path)], "words")
    refused("the size of a vocabulary is a number", [texts(tmp_path)], "bpe:many")
    refused("there is no such file", [tmp_path / "nothing"])
    refused("give only", [texts(tmp_path)], "bpe:8000")
    (tmp_path / "texts" / "c.txt").write_bytes(b"two\nlines of \xff\n")
    refused(r"c.txt, line 2: byte 13 of the file \(0xff\) is not UTF-8", [texts(tmp_path)])
    (tmp_path / "texts" / "c.txt").write_bytes(b" \n")
    refused("c.txt holds no text", [texts(tmp_path)])


def test_the_commands_write_and_describe_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "out")
    words = ["prepare", "text", str(texts(tmp_path)), "--tokenizer", "bytes", "--out", folder]
    assert main(words) == 0
    assert f"dlcore train gpt_tiny_shakespeare --data {folder}" in capsys.readouterr().out
    assert main(words) == 2
    assert "exists: name a new folder" in capsys.readouterr().err
    assert main(["data", folder]) == 0
    described = capsys.readouterr().out
    assert "taken for tokens" in described
    assert "Line 0 of a text" in described
    (tmp_path / "out" / "train-00000.bin").write_bytes(
        bytes((tmp_path / "out" / "train-00000.bin").stat().st_size)
    )
    assert main(["data", folder]) == 1
    assert "another checksum" in capsys.readouterr().out
