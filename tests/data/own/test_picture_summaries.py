"""What `dlcore data` says of captions, videos, people and drives: counts and faults by hand."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from dlcore.cli import main as cli
from dlcore.data.own import caption_summary, captions, drive_summary, people_summary, video_summary
from dlcore.data.own.kinds import kind
from dlcore.samples import Animations, Images, Plot, parts
from tests.data.own import made
from tests.data.own.test_drive import recorded, simulator
from tests.data.own.test_videos import folder_of, frames, gif

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def captioned(folder: Path) -> Path:
    """Pictures with captions in three splits; training lacks the word "owl"."""
    rows = []
    for i, split in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"] * 2):
        made.image(folder / f"{i}.png", i, (20, 10 + i), "RGBA")
        rows.append(f"{i}.png\ta {('cat', 'dog', 'owl')[min(2, i // 3)]}\t{split}")
    table = folder / "captions.tsv"
    table.write_text("\n".join(["path\tcaption\tsplit", *rows]) + "\n")
    return table


def test_captions_with_words_that_training_lacks(tmp_path: Path) -> None:
    table = captioned(tmp_path / "own")
    for path in (table, tmp_path / "own"):
        assert kind(path)[0] == "captions"
    found = caption_summary.summary(table)
    assert not found.problems
    assert found.command == f"dlcore train captioning_emoji --data {table}"
    counts, sizes = found.tables
    assert counts.rows == (("pictures with captions", 4, 2, 2), ("different captions", 2, 1, 1))
    assert {name: tuple(rest) for name, *rest in sizes.rows} == {
        "height": (10, 13.5, 17),
        "width": (20, 20, 20),
        "words of a caption": (2, 2, 2),
    }
    assert "different words in train: 3" in found.lines
    assert "words of test that train lacks: 2 of 4" in found.lines
    assert "no two of the pictures are the same" in found.lines
    (shown,) = found.examples
    assert isinstance(shown, Images)
    assert shown.captions == ("a cat", "a cat", "a cat", "a dog")


def test_several_captions_of_a_held_out_picture_are_counted(tmp_path: Path) -> None:
    table = captioned(tmp_path / "own")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        captions.load(table, 8)
    table.write_text(table.read_text() + "6.png\tanother owl\ttest\n0.png\tsame cat\ttrain\n")
    with pytest.warns(UserWarning, match="1 of 5 rows of validation and test are further captions"):
        captions.load(table, 8)


def test_captions_of_one_picture_in_two_splits_and_faults(tmp_path: Path) -> None:
    table = captioned(tmp_path / "own")
    shutil.copy(tmp_path / "own/0.png", tmp_path / "own/6.png")
    (tmp_path / "own/1.png").write_bytes(b"no picture")
    with table.open("a") as more:
        more.write("lost.png\ta dog\ttrain\n3.png\t \ttrain\n")
    found = caption_summary.summary(table)
    duplicates = found.tables[-1]
    assert duplicates.title == "Duplicates: 1 across splits, 0 within one"
    assert duplicates.rows[0][0] == "train and test"
    assert duplicates.rows[0][3] == "captions a cat and a owl"
    assert len(found.problems) == 3
    for part in (
        "line 11: 'caption' is empty",
        "line 10: there is no file",
        "1.png cannot be read",
    ):
        assert sum(part in problem for problem in found.problems) == 1


def test_videos_with_frames_duplicates_and_the_flags_that_fit(tmp_path: Path) -> None:
    for seed in range(40):
        gif(tmp_path / "clips" / f"{seed:02d}.gif", frames(9 if seed else 8, seed))
    shutil.copy(tmp_path / "clips/00.gif", tmp_path / "clips/copy.gif")
    assert kind(tmp_path / "clips")[0] == "videos"
    found = video_summary.summary(tmp_path / "clips")
    assert not found.problems
    assert "videos that can be read: 41, with 367 frames" in found.lines
    assert found.command.endswith("--frames-in 4 --frames-out 4")
    counts, sizes, duplicates = found.tables
    assert [sum(row[1:]) for row in counts.rows] == [41, 367]  # type: ignore[arg-type]
    assert sizes.rows[0] == ("frames", 8, 9, 9)
    assert duplicates.title == "Duplicates: 0 across splits, 1 within one"
    (shown,) = found.examples
    assert isinstance(shown, Animations)
    assert [len(clip) for clip in shown.clips] == [8, 9, 9, 9, 9, 9]


def test_frame_folders_and_every_fault_of_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, count in (("train", 25), ("validation", 20), ("test", 2)):
        folder_of(tmp_path / "own" / split / "walk", frames(count))
    assert "--as videos" in kind(tmp_path / "own")[1]
    (gif(tmp_path / "own/train/bad.gif", frames(20))).write_bytes(b"GIF89a")
    (tmp_path / "own/test/empty").mkdir()
    assert cli.main(["data", str(tmp_path / "own"), "--as", "videos"]) == 1
    out = capsys.readouterr().out
    assert "3 problems:" in out
    for part in ("empty holds no frames", "walk has 2 frames: a clip has 3", "bad.gif cannot be"):
        assert part in out
    assert "videos that can be read: 3, with 47 frames" in out
    assert f"dlcore train video_moving_mnist --data {tmp_path / 'own'}\n" in out


def test_people_that_share_an_image(tmp_path: Path) -> None:
    people = made.image_folder(tmp_path / "own", 3, ("ann", "bob", "cid", "dan"))
    assert "--as people" in kind(people)[1]
    shutil.copy(people / "ann/000.png", people / "bob/000.png")
    found = people_summary.summary(people)
    assert not found.problems
    assert found.command == f"dlcore train faces_orl --data {people}"
    assert "pairs of images of one person: 12" in found.lines
    counts, sizes, duplicates = found.tables
    assert counts.rows == tuple((name, 3) for name in ("ann", "bob", "cid", "dan"))
    assert sizes.rows[0] == ("images of a person", 3, 3, 3)
    assert duplicates.rows[0][3] == "people ann and bob"
    shown = found.examples[0]
    assert isinstance(shown, Images)
    assert shown.captions == tuple(name for name in ("ann", "bob", "cid", "dan") for _ in range(2))
    shutil.rmtree(people / "dan")
    (people / "cid/000.png").unlink()
    (people / "cid/001.png").unlink()
    faults = people_summary.summary(people).problems
    assert "shows 3 people (ann, bob, cid): verification needs 4" in faults[0]
    assert "has one image of cid" in faults[1]


def test_a_drive_by_sections_of_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SERIES_VALUES", 3)
    path = recorded(tmp_path / "own", [simulator(n) for n in range(20)], frames=20)
    shutil.copy(path / "IMG/center_13.png", path / "IMG/center_14.png")
    log = path / "driving_log.csv"
    for each in (path, log):
        assert kind(each)[0] == "drive"
    found = drive_summary.summary(path)
    assert not found.problems
    steering, sizes, duplicates = found.tables
    assert steering.rows == (
        ("train", 14, 0.0, 0.65, 1.3, 0.0714),
        ("validation", 2, 1.4, 1.45, 1.5, 0.0),
        ("test", 4, 1.6, 1.75, 1.9, 0.0),
    )
    assert sizes.rows == (("height", 8, 8, 8), ("width", 16, 16, 16))
    assert duplicates.rows == (("train and validation", f"{log}, line 14", f"{log}, line 15", ""),)
    plot, pictures = found.examples
    assert isinstance(plot, Plot)
    assert isinstance(pictures, Images)
    assert (pictures.captions[0], pictures.captions[-1]) == ("+0.000", "+1.900")
    assert (plot.series[0].x.tolist(), plot.x) == ([0, 9, 19], "frame, 3 of 20 shown")


def test_faults_of_a_drive_are_listed_and_the_page_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [simulator(n) for n in range(10)] + [simulator(10), simulator(3, "left")]
    path = recorded(tmp_path / "own", rows, frames=10)
    (path / "IMG/center_4.png").write_bytes(b"no picture")
    page = tmp_path / "page.html"
    assert cli.main(["data", str(path), "--out", str(page)]) == 1
    out = capsys.readouterr().out
    assert "taken for drive" in out
    assert "3 problems:" in out
    for part in ("line 11: there is no file", "line 12: steering 'left'", "center_4.png cannot be"):
        assert part in out
    assert "Steering over time" in page.read_text()
