"""`dlcore data` from the outside: what it prints, its exit codes, and its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.cli import main as cli
from tests.data.own import made
from tests.report.pages import TAGS, Parsed

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_sound_data_end_with_0_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    made.image_folder(Path("pets"))
    assert cli.main(["data", "pets"]) == 0
    said = capsys.readouterr().out
    for expected in (
        "taken for images: 80 files are images",
        "images that can be read: 80",
        "cut from train by the hash of the content: validation and test",
        "no two of them are the same",
        "0 problems",
        "next: dlcore train cnn_mnist --data pets",
    ):
        assert expected in said


def test_all_faults_are_printed_and_end_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    file = made.texts(Path("films.csv"))
    file.write_text(file.read_text() + ",+\nx\n")
    assert cli.main(["data", "films.csv"]) == 1
    said = capsys.readouterr().out
    assert "2 problems:" in said
    assert "films.csv, line 82: 'text' is empty" in said
    assert "films.csv, line 83: 1 cells under 2 columns" in said
    assert "mend these, then: dlcore train bert_polarity --data films.csv" in said


def test_a_table_names_its_columns_and_classes(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (f"{i},{'yn'[i % 2]}" for i in range(60))
    Path("rows.csv").write_text("\n".join(["age,ill", *rows]))
    assert cli.main(["data", "rows.csv", "--target", "ill"]) == 0
    said = capsys.readouterr().out
    assert "taken for table: rows.csv has 2 columns" in said
    assert "next: dlcore train mlp_table --data rows.csv --target ill" in said
    assert cli.main(["data", "rows.csv"]) == 0
    assert "--target COLUMN says which column is to be predicted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["elsewhere"], "elsewhere: there is no such file or folder"),
        (["films.csv", "--as", "pairs"], "films.csv holds no pairs: name a .tsv file"),
        (["films.csv", "--target", "label"], "--target is of tables, and films.csv was taken for"),
        (["films.csv", "--out", "page.txt"], "--out page.txt: name a file that ends in .html"),
        (["films.csv", "--out", "films.csv/a.html"], "cannot write films.csv/a.html"),
    ],
)
def test_bad_words_end_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made.texts(Path("films.csv"))
    assert cli.main(["data", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_page_shows_all_and_loads_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made.image_folder(Path("pets"), each=6, classes=("cat", "<b>dog"))
    Path("pets/cat/<script>.png").write_text("x")
    assert cli.main(["data", "pets", "--out", "page.html"]) == 1
    assert "written to page.html" in capsys.readouterr().out
    page = Parsed(Path("page.html").read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.tags} <= TAGS
    text = "\n".join(page.texts)
    for expected in ("pets", "1 problem", "<script>.png cannot be read", "<b>dog", "Sizes"):
        assert expected in text
    sources = [value for value in page.values if value.startswith("data:image/png")]
    assert len(sources) >= 8
    assert not [value for value in page.values if "://" in value]
