"""A path at a glance: what it is taken for, counts and duplicates by hand, every fault listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dlcore.data.own import images, table_summary
from dlcore.data.own.kinds import kind
from dlcore.data.own.simple_summary import summary
from dlcore.data.own.summary import PRINTED, printed
from dlcore.errors import UsageError
from dlcore.samples import Images, Table
from tests.data.own import made

pytestmark = pytest.mark.quick


def write(file: Path, content: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    return file


def test_what_a_path_is_taken_for(tmp_path: Path) -> None:
    made.image(tmp_path / "a/x/1.png", 1)
    write(tmp_path / "a/README", "x")
    assert kind(tmp_path / "a")[0] == "images"
    for name, content, expected in (
        ("b.csv", "label,path\n", "images"),
        ("c.csv", "id,text,label\n", "texts"),
        ("d.jsonl", '{"label": 1, "text": "x"}\n', "texts"),
        ("e.tsv", "a b\tc\n", "pairs"),
        ("f.tsv", "text\tlabel\n", "texts"),
        ("g.txt", "x\n", "corpus"),
        ("n.txt", "Ann NNP B-PER\nran VBD O\n", "tagged"),
        ("o.tsv", "Ann\tB-PER\nran\tO\n\nBo\tB-PER\n", "tagged"),
        ("p.tsv", "a b\tO\nc d\te\n", "pairs"),
        ("i.csv", "age,sex\n", "table"),
        ("j.parquet", "", "table"),
    ):
        assert kind(write(tmp_path / name, content))[0] == expected
        assert kind(write(tmp_path / name[0] / f"train{name[1:]}", content).parent)[0] == expected
    for side in ("xx", "yy"):
        write(tmp_path / f"h/text.{side}", "1\n2\n")
    assert kind(tmp_path / "h")[0] == "pairs"
    write(tmp_path / "h/text.yy", "1\n")
    assert kind(tmp_path / "h")[0] == "corpus"
    babi = "1 Ann left.\n2 Bob came.\n3 Who left?\tAnn\t1\n"
    for content, expected in ((babi, "stories"), ("1 Ann left.\n3 Bob came.\n", "corpus")):
        assert kind(write(tmp_path / "l/qa7_train.txt", content).parent)[0] == expected
    (tmp_path / "l/qa7_train.txt").write_bytes(b"caf\xe9\n")  # `find` says that it is no UTF-8
    assert kind(tmp_path / "l")[0] == "corpus"
    for split in ("train", "test"):
        made.image(tmp_path / f"m/{split}/1.png", 1)
        assert kind(tmp_path / "m" / split)[0] == "photographs"
        assert kind(tmp_path / "m")[0] == "photographs"
    made.image(tmp_path / "m/other/1.png", 1)
    assert kind(tmp_path / "m")[0] == "images"
    for path, message in (
        (write(tmp_path / "k.jsonl", '{"age": 1}\n'), "line 1: there are age: images have path"),
        (tmp_path / "a/x/1.png", "is one image: name a folder"),
        (tmp_path / "z", "there is no such file or folder"),
    ):
        with pytest.raises(UsageError, match=message):
            kind(path)


def test_photographs_and_stories(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    for i in range(1, 41):
        made.image(folder / f"{i}.png", i, (20, 10 + i))
    shutil.copy(folder / "1.png", folder / "copy.png")
    found = summary(folder, "photographs")
    counts, sizes, same = found.tables
    assert sum(map(int, counts.rows[0][1:])) == 41
    assert sizes.rows == (("height", 11, 30, 50), ("width", 20, 20, 20))
    assert same.title == "Duplicates: 0 across splits, 1 within one"
    assert not found.problems
    assert found.command == f"dlcore train style_transfer --data {folder}"
    (shown,) = found.examples
    assert isinstance(shown, Images)
    assert shown.captions[0] in {file.name for file in folder.iterdir()}
    babi = "".join(
        f"1 Ann is in room {i}.\n2 Where is Ann?\troom\t1\n3 Who?\tAnn\t1\n" for i in range(60)
    )
    found = summary(write(tmp_path / "qa1_train.txt", babi + "1 Bob left.\n"), "stories")
    (fault,) = found.problems
    assert "line 181: the story has no question" in fault
    assert "questions: 120" in found.lines
    assert sum(map(int, found.tables[0].rows[0][1:])) == 60


def tables(path: Path, of: str) -> dict[str, Table]:
    return {table.title.partition(":")[0]: table for table in summary(path, of).tables}  # type: ignore[arg-type]


def test_images_with_duplicates_across_splits_and_several_faults(tmp_path: Path) -> None:
    for split, each in (("train", 4), ("validation", 2), ("test", 2)):
        made.image_folder(tmp_path / "own" / split, each, seed=10 * each + len(split))
    train, test = tmp_path / "own/train", tmp_path / "own/test"
    shutil.copy(train / "cat/000.png", test / "dog/copy.png")
    shutil.copy(train / "cat/001.png", train / "cat/copy.png")
    (train / "dog/bad.png").write_bytes((train / "dog/003.png").read_bytes()[:200])
    (train / "dog/notes").write_text("x")
    (test / "owl").mkdir()
    found = summary(tmp_path / "own", "images")
    counts, sizes, duplicates = found.tables
    assert counts.header == ("class", "train", "validation", "test")
    assert counts.rows == (("cat", 5, 2, 2), ("dog", 4, 2, 3), ("all", 9, 4, 5))
    assert sizes.rows == (("height", 24, 28, 64), ("width", 9, 34, 64))
    assert duplicates.title == "Duplicates: 1 across splits, 1 within one"
    across, within = duplicates.rows
    assert across == (
        "train and test",
        str(train / "cat/000.png"),
        str(test / "dog/copy.png"),
        "labels cat and dog",
    )
    assert within[0] == "within train"
    assert [Path(problem.split()[0].rstrip(",")).name for problem in found.problems] == [
        "notes",
        "owl",
        "bad.png",
    ]
    assert "images that can be read: 18" in found.lines
    (shown,) = found.examples
    assert isinstance(shown, Images)
    assert shown.captions == ("cat", "dog") * 4 + ("cat",)
    with pytest.raises(UsageError, match=r"notes is no image .*\(1 more: `dlcore data"):
        images.load(tmp_path / "own", (28, 28, 1))


def test_texts_with_faults_of_rows_and_of_labels(tmp_path: Path) -> None:
    file = made.texts(tmp_path / "a.csv", 60)
    with file.open("a") as more:
        more.write('"a good film, number 0",-\n,+\nx\n')
    found = summary(file, "texts")
    assert [problem.partition("line ")[2].partition(":")[0] for problem in found.problems] == [
        "63",
        "64",
    ]
    said = "words of a text: median 5, nine of ten have at most 5, the longest has 5; --length"
    assert any(line.startswith(said) for line in found.lines)
    counts, sizes, duplicates = found.tables
    assert [row[0] for row in counts.rows] == ["+", "-", "all"]
    assert sum(counts.rows[-1][1:]) == 61  # type: ignore[arg-type]
    assert {row[0]: row[1:] for row in sizes.rows}["words"] == (5, 5, 5)
    assert duplicates.rows == (
        (duplicates.rows[0][0], f"{file}, line 2", f"{file}, line 62", "labels + and -"),
    )
    assert str(duplicates.rows[0][0]).startswith("within ")
    write(tmp_path / "b.csv", "text,label\n" + "".join(f"text {i},one\n" for i in range(60)))
    assert "a classifier needs two classes" in summary(tmp_path / "b.csv", "texts").problems[0]


def test_pairs_and_a_corpus(tmp_path: Path) -> None:
    table = write(tmp_path / "a.tsv", "".join(f"{a}\t{b}!\n" for a, b in made.sentence_pairs(60)))
    found = tables(table, "pairs")
    assert sum(found["Examples"].rows[0][1:]) == 60  # type: ignore[arg-type]
    characters = {row[0]: row[1:] for row in found["Sizes"].rows}
    assert [n + 1 for n in characters["source characters"]] == [*characters["target characters"]]  # type: ignore[operator]
    for name in ("x", "y"):
        write(tmp_path / f"corpus/{name}.txt", "one two\n")
    write(tmp_path / "corpus/z.txt", "three\n")
    found = tables(tmp_path / "corpus", "corpus")
    assert found["Examples"].rows == (("documents", 3),)
    assert found["Sizes"].rows == (("characters", 6, 8, 8), ("words", 1, 2, 2))
    assert found["Duplicates"].rows[0][:1] == ("within train",)
    (tmp_path / "corpus/bad").write_bytes(b"\xff")
    assert "bad, line 1: byte 0" in summary(tmp_path / "corpus", "corpus").problems[0]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        summary(tmp_path / "nothing", "corpus")


def test_tables_are_printed_with_aligned_columns_and_nothing_that_a_terminal_obeys() -> None:
    rows = (("a\x1b[2J\nb", 1234), *(("c", n) for n in range(PRINTED)))
    lines = printed([Table("T", ("name", "n"), rows)])
    assert lines[:4] == ["", "T", "  name         n", "  a [2J b  1,234"]
    assert lines[4] == "  c            0"
    assert lines[-1] == "  and 1 more: --out FILE.html shows them"


def test_a_table_with_and_without_its_target(tmp_path: Path) -> None:
    rows = [f"{i % 7},{'red' if i % 3 else ''},{'yn'[i % 2]}" for i in range(60)]
    file = write(tmp_path / "a.csv", "\n".join(["age,colour,ill", *rows, rows[0]]) + "\n")
    found = table_summary.summary(file)
    assert found.lines[0] == "rows: 61, columns: 3"
    (described, same) = found.tables
    assert described.rows == (
        ("age", "number", 0, 7, 0, 3, 6),
        ("colour", "category", 21, 2, "", "", ""),
        ("ill", "category", 0, 2, "", "", ""),
    )
    assert same.title == "Duplicates: 0 across splits, 33 within one"
    counts, described, same = table_summary.summary(file, "ill").tables
    assert counts.header == ("class", "train", "validation", "test")
    assert [(row[0], sum(row[1:])) for row in counts.rows] == [("n", 30), ("y", 31), ("all", 61)]  # type: ignore[arg-type]
    assert described.rows[2][1] == "the target"
    assert same.title.startswith("Duplicates: 0 across splits, 33")
    file.write_text(file.read_text() + "1,red,\n")
    assert "line 63: the target 'ill' is" in table_summary.summary(file, "ill").problems[0]
    file.write_text(file.read_text() + "x,red,y\n")
    first, second = table_summary.summary(file, "ill").problems
    assert "line 64: 'x' in column 'age' is no finite number" in first
    assert "line 63: the target 'ill' is" in second
    assert "no column 'age_'" in table_summary.summary(file, "age_").problems[1]


def test_data_without_train_are_summarised_with_that_as_a_problem(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,label,split\ngood,+,test\npoor,-,test\n")
    found = summary(file, "texts")
    assert found.problems[0] == f"{file} has no examples for train: add some"
    assert not found.examples
    (tmp_path / "own/train/cat").mkdir(parents=True)
    write(tmp_path / "own/train/cat/bad.png", "no picture")
    made.image(tmp_path / "own/test/cat/1.png", 1)
    assert not summary(tmp_path / "own", "images").examples
