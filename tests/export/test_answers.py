"""Answers in the order of the inputs, through batches of one size, with what was skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Answered, Input, Unread
from dlcore.samples import Text
from dlcore.train.predictor import Answer, readable, with_options

pytestmark = pytest.mark.quick
STATE: Any = None


class Words:
    """Each word of a text is an item; digits are refused."""

    options = None

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        found = [word for each in text for word in each.split()]
        if bad := [word for word in found if word.isdigit()]:
            raise UsageError(f"{bad[0]} is a number")
        return found

    def batch(self, state: Any, items: Sequence[str]) -> list[Answer]:
        self.sizes.append(len(items))
        return [({"upper": item.upper()}, Text("", item)) for item in items]


def inputs(*texts: str) -> list[Input]:
    return [Input(f"t{i}", {"line": i}, text=text) for i, text in enumerate(texts)]


def summary(found: Any) -> list[str]:
    return [
        f"{each.name} {each.answer['upper']}"
        if isinstance(each, Answered)
        else f"{each.input.name} refused"
        for each in found
    ]


def test_every_batch_has_one_size_and_answers_keep_their_order() -> None:
    words = Words()
    texts = [f"w{chr(97 + i)}" for i in range(10)]
    found = summary(answers.answers(words, STATE, inputs(*texts), batch=4))
    assert found == [f"t{i} {text.upper()}" for i, text in enumerate(texts)]
    assert words.sizes == [4, 4, 4]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (5, 8)])
def test_few_inputs_take_a_batch_of_the_next_power_of_two(count: int, size: int) -> None:
    words = Words()
    assert len(list(answers.answers(words, STATE, inputs(*["a"] * count)))) == count
    assert words.sizes == [size]


def test_refused_inputs_stay_in_their_place_and_several_items_are_numbered() -> None:
    texts = inputs("a", "1", "b c", "2 d")
    found = list(answers.answers(Words(), STATE, texts, batch=2))
    assert summary(found) == ["t0 A", "t1 refused", "t2:1 B", "t2:2 C", "t3 refused"]
    assert isinstance(found[3], Answered)
    assert found[3].where == {"line": 2, "item": 2}
    assert isinstance(found[1], Unread)
    assert found[1].error == "1 is a number"


def test_nothing_but_refused_inputs_computes_nothing() -> None:
    words = Words()
    assert summary(answers.answers(words, STATE, inputs("1", "2"))) == ["t0 refused", "t1 refused"]
    assert words.sizes == []


def test_a_value_needs_a_predictor_that_takes_one() -> None:
    (found,) = answers.answers(Words(), STATE, [Input("v", {}, value=3.5)])
    assert isinstance(found, Unread)
    assert found.error == "this model takes paths of files, and no float"


def test_files_of_folders_come_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.png", "a/1.png", ".hidden", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = answers.files_of([tmp_path / "b.png", tmp_path])
    names = [str(each.relative_to(tmp_path)) for each in found]
    assert names == ["b.png", "a/1.png", "a/2.png", "b.png"]
    with pytest.raises(UsageError, match="nothing is there"):
        answers.files_of([tmp_path / "c"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no files"):
        answers.files_of([tmp_path / "empty"])


def test_lines_of_a_text_file_have_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("one\r\n\n dré \n".encode())
    found: Any = list(answers.lines_of(file))
    assert [(each.where["line"], each.text) for each in found] == [(1, "one"), (3, " dré ")]
    file.write_bytes("\ufeffone\n".encode())
    assert [each.text for each in answers.lines_of(file)] == ["one"]
    file.write_bytes(b"one\rtwo\nthree\n")
    assert [(each.where["line"], each.text) for each in answers.lines_of(file)] == [  # type: ignore[union-attr]
        (1, "one\rtwo"),
        (2, "three"),
    ]
    file.write_bytes(b"one\n\xff\xfe\nthree\n")
    first, last = answers.lines_of(file)
    assert isinstance(first, Input)
    assert isinstance(last, Unread)
    assert last.input.name == f"{file}:2"
    assert "no text in UTF-8" in last.error


class Own(Words):
    """Files that end in .own have words as items; the others have lines."""

    reads = "lines"

    def in_file(self, file: Path, problems: list[str]) -> Iterator[tuple[int, str]] | None:
        return self.words(file, problems) if file.suffix == ".own" else None

    def words(self, file: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
        for line, word in enumerate(file.read_text().splitlines(), 1):
            if word == "?":
                problems.append(f"{file}, line {line}: no word")
            elif word == "!":
                raise UsageError(f"{file}, line {line}: the end")
            else:
                yield line, word

    def item(self, value: str) -> str:
        if value.isdigit():
            raise UsageError("a number")
        return value


def test_a_predictor_reads_a_file_in_a_form_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a{}.own"
    file.write_text("one\n?\n3\nfour\n!\nsix\n")
    found = list(answers.answers(Own(), STATE, answers.inputs_in(Own(), file)))
    said = [each.error if isinstance(each, Unread) else each.where for each in found]
    assert said == [
        {"file": str(file), "line": 1},
        "a number",
        {"file": str(file), "line": 4},
        f"{file}, line 2: no word",
        f"{file}, line 5: the end",
    ]
    file = file.rename(tmp_path / "a{}.txt")
    texts = [each.text for each in answers.inputs_in(Own(), file) if isinstance(each, Input)]
    assert texts == ["one", "?", "3", "four", "!", "six"]


def test_half_of_a_character_is_refused_with_its_line_and_others_are_answered(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "good"}\n{"text": "\\ud83d bad"}\n{"text": "fine"}\n')
    good, bad, fine = answers.answers(Words(), STATE, answers.inputs_in(Own(), file))
    assert isinstance(good, Answered)
    assert isinstance(fine, Answered)
    assert isinstance(bad, Unread)
    assert bad.input.name == f"{file}:2"
    assert "has half of a character (the lone surrogate '\\ud83d') at position 0" in bad.error


def test_a_json_file_is_no_file_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('[{"text": "good"}]')
    (refused,) = answers.lines_of(file)
    assert isinstance(refused, Unread)
    assert "write an object a line, as .jsonl" in refused.error
    blank = tmp_path / "a.txt"
    blank.write_text("one\n \t\n\x0c\ntwo\n")
    found = [each for each in answers.lines_of(blank) if isinstance(each, Input)]
    assert [each.where["line"] for each in found] == [1, 4]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.tsv"])
def test_of_a_table_one_column_is_read(name: str, tmp_path: Path) -> None:
    """The file that a model was trained on is answered without its labels."""
    file = tmp_path / name
    if name.endswith("jsonl"):
        file.write_text('{"text": "a, b", "label": 1}\n{"label": 0}\n{"text": "c"}\n')
    elif name.endswith("csv"):
        file.write_text('label,text\n1,"a, b"\n0,\n0,c\n')
    else:
        file.write_text("label\ttext\n1\ta, b\n0\t\n0\tc\n")
    first, second, broken = answers.lines_of(file)
    line = 1 if name.endswith("jsonl") else 2
    assert isinstance(first, Input)
    assert isinstance(second, Input)
    assert (first.name, first.where) == (f"{file}:{line}", {"file": str(file), "line": line})
    assert (first.text, second.text) == ("a, b", "c")
    assert isinstance(broken, Unread)
    assert f"{file}, line {line + 1}: " in broken.error
    if not name.endswith("jsonl"):
        (other,) = answers.lines_of(file, "source")
        assert isinstance(other, Unread)
        assert "there is no column 'source'; there are label, text" in other.error


def test_an_answer_reads_as_its_value_or_as_names_and_values() -> None:
    assert readable(Words(), {"upper": "A"}) == "A"
    answer = {"value": 0.123456, "parts": {"a": 1, "b": [1.5, "x"]}}
    assert readable(Words(), answer) == "value 0.1235  parts a 1, b 1.5, x"


def test_options_change_in_a_copy() -> None:
    words = Words()
    assert with_options(words, {"top": 1}).options == {"top": 1}
    assert words.options is None
