"""What `dlcore predict` reads and shows, with predictors that compute next to nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from dlcore.cli import predict
from dlcore.data.own import rows
from dlcore.errors import UsageError
from dlcore.samples import Text

pytestmark = pytest.mark.quick
Capture = pytest.CaptureFixture[str]


class Table:
    """A predictor of rows, whose answer is the sum of their numbers."""

    options: Any = None
    reads = "table"

    def items(self, files: Any, text: Any) -> list[Any]:
        return rows.read(files, text, ["a", "b"])

    def batch(self, state: Any, items: Any) -> list[Any]:
        return [({"sum": sum(map(float, row.values.values()))}, Text("t", ())) for row in items]


def test_rows_come_from_files_standard_input_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "a.csv").write_text("b,x,a\n1,?,2\n3,?,4\n")
    file = str(tmp_path / "a.csv")
    predictor: Any = Table()

    def answered(*words: str, text: tuple[str, ...] = ()) -> list[str]:
        options = predict.PredictOptions(files=words, text=text)
        assert predict._answer(predictor, None, options) == 0  # type: ignore[arg-type]
        return capsys.readouterr().out.splitlines()

    assert answered(file) == [f"{file}:1: 3", f"{file}:2: 7"]
    monkeypatch.setattr("sys.stdin", typed(b"\xef\xbb\xbfa,b\n5,6\n7,8\n"))
    assert answered("-") == ["11", "15"]
    assert answered(text=("1,2",)) == ["3"]
    assert answered(text=("b,a", "1,2", "3,3")) == ["3", "6"]
    with pytest.raises(UsageError, match="CSV, TSV or Parquet files, --text ROW, or - for a table"):
        answered()


class Questions(Table):
    """A predictor of rows, one of which cannot be read, or of texts of their own."""

    def items(self, files: Any, text: Any) -> list[Any]:
        if self.reads == "texts":
            return [rows.read([], ["a,b", f"{len(each)},1"], ["a", "b"])[0] for each in text]
        first, second = rows.read(files, text, ["a", "b"])
        return [first, UsageError("line 3 is blank"), second]


def test_a_row_that_cannot_be_read_leaves_the_others(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    file, predictor = str(tmp_path / "a.csv"), Questions()
    assert predict._answer(predictor, None, predict.PredictOptions(files=(file,))) == 3  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"{file}:1: 3", f"{file}:3: 7"]
    assert f"skipped: {file}: line 3 is blank" in said.err


def test_texts_of_their_own_are_answered_one_by_one(capsys: Capture) -> None:
    predictor = Questions()
    predictor.reads = "texts"
    options = predict.PredictOptions(text=("one", "three"))
    assert predict._answer(predictor, None, options) == 0  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == ["4", "6"]


def typed(content: bytes) -> io.TextIOWrapper:
    """A standard input."""
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


class Lines:
    """A predictor of lines, which answers with their text."""

    options: Any = None
    reads = "lines"

    def items(self, files: Any, text: Any) -> list[Any]:
        return list(text)

    def batch(self, state: Any, items: Any) -> list[Any]:
        return [({"text": item}, Text("t", item)) for item in items]


def test_standard_input_is_read_as_files_are(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Without a byte order mark, up to a line that is not UTF-8, with an exit code for that."""
    options = predict.PredictOptions(files=("-",))

    def answered(predictor: Any, content: bytes, code: int) -> tuple[str, str]:
        monkeypatch.setattr("sys.stdin", typed(content))
        assert predict._answer(predictor, None, options) == code  # type: ignore[arg-type]
        said = capsys.readouterr()
        return said.out, said.err

    marked = "\ufeffone\r\n\n\u2028dr\xe9\rtwo\n"
    assert answered(Lines(), marked.encode(), 0) == ("one\n\u2028dr\xe9\rtwo\n", "")
    out, err = answered(Lines(), b"one\ncaf\xe9\nthree\n", 3)
    assert out == "one\n"
    assert "skipped: line 2 of standard input: it is no text in UTF-8" in err
    out, err = answered(Table(), b"a,b\n1,\xe9\n", 3)
    assert not out
    assert "skipped: standard input, line 2: byte 6 of the file (0xe9) is not UTF-8" in err


class Terminal(io.StringIO):
    """What a person sees."""

    def isatty(self) -> bool:
        return True


def test_the_name_of_a_file_after_text_is_noticed(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    file, predictor = str(tmp_path / "a.txt"), Lines()
    for options, expected in (
        (predict.PredictOptions(text=("two", file)), f"note: {file} is read as a text, though"),
        (predict.PredictOptions(files=(file,), text=("two",)), ""),
    ):
        assert predict._answer(predictor, None, options) == 0  # type: ignore[arg-type]
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == 2
        assert expected in printed.err
        assert bool(expected) == bool(printed.err)


def test_a_person_at_a_terminal_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Of files with their total, of rows and lines without; nothing where the answers are seen."""
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 150)
    predictor: Any = Table()

    def seen(options: predict.PredictOptions) -> str:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        predict._answer(predictor, None, options)  # type: ignore[arg-type]
        return terminal.getvalue()

    of_rows = predict.PredictOptions(files=(str(tmp_path / "a.csv"),))
    assert seen(of_rows) == "\r64\r128\n"
    for number in range(130):
        (tmp_path / f"{number:03d}.bin").touch()
    (tmp_path / "a.csv").unlink()
    predictor = Files()
    of_files = predict.PredictOptions(files=(str(tmp_path),))
    refused = f"dlcore: skipped: {tmp_path / '100.bin'}: broken\n"
    rest = "dlcore: 1 of 130 inputs could not be read and were skipped\n"
    expected = f"\r64 of 130\n{refused}\r128 of 130\r130 of 130\n{rest}"
    assert seen(of_files) == expected
    monkeypatch.setattr("sys.stdout", Terminal())
    assert "\r" not in seen(of_files)


class Files:
    """A predictor of files, which cannot read one of them."""

    options: Any = None
    reads = "files"

    def items(self, files: Any, text: Any) -> list[Any]:
        if files[0].name == "100.bin":
            raise UsageError("broken")
        return [1]

    def batch(self, state: Any, items: Any) -> list[Any]:
        return [({"size": item}, Text("t", ())) for item in items]
