"""Damaged indices and files of samples are named, and no name leads out of the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcore.runs.sample_files import load, read, save
from dlcore.samples import Images

OUTSIDE = (
    "../secret.txt",
    "/etc/hostname",
    "link.txt",
    "..",
    "",
    "a\0.txt",
    "card.json",
    "door/secret.txt",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "card.json").write_text("{}")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "door").symlink_to(tmp_path)
    sample = {"title": "t", "parts": [{"part": "text", "file": name}]}
    (folder / "index.json").write_text(json.dumps({"version": 2, "samples": [sample]}))
    with pytest.raises(ValueError, match=r"index\.json"):
        load(folder)
    with pytest.raises(ValueError, match=r"index\.json"):
        read(folder, name)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[1]",
        '[{"kind": "text"}]',
        '[{"kind": "film", "title": "t"}]',
        '[{"kind": "images", "title": "t", "images": [{"file": 3}]}]',
        '[{"kind": "images", "title": "t", "images": [], "columns": "10"}]',
        '[{"kind": "table", "title": "t", "header": ["a"], "rows": [[1, 2]]}]',
        '[{"kind": "table", "title": "t", "header": ["a"], "rows": [[{}]]}]',
        '[{"kind": "plot", "title": "t", "series": []}]',
        '[{"kind": "plot", "title": "t", "x": "x", "y": "y"}]',
        '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "log_x": 1, "series": []}]',
        '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"x": [], "y": []}]}]',
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": 1,'
            ' "y": 1}]}]'
        ),
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": [1],'
            ' "y": []}]}]'
        ),
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": [1],'
            ' "y": ["2"]}]}]'
        ),
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": [1],'
            ' "y": [true]}]}]'
        ),
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": [1],'
            ' "y": [NaN]}]}]'
        ),
        '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "x": [1],'
        ' "y": [1' + "0" * 400 + "]}]}]",
        (
            '[{"kind": "plot", "title": "t", "x": "x", "y": "y", "series": [{"name": "s", "points":'
            ' "no", "x": [], "y": []}]}]'
        ),
        "[" * 100_000,
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json"):
        load(tmp_path)


SPAN = '{"part": "text", "text": "a", "spans": [{'


PLOT = '{"part": "plot", "x": "x", "y": "y", "series": ['


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("3", "unknown part None"),
        ("{}", "unknown part None"),
        ('{"part": "film"}', "unknown part 'film'"),
        ('{"part": ["text"]}', "unknown part"),
        ('{"part": "pictures"}', "pictures without file names"),
        ('{"part": "pictures", "images": [3]}', "pictures without file names"),
        ('{"part": "pictures", "images": [{"file": "a.svg"}]}', "'a.svg' is not a file for"),
        ('{"part": "pictures", "images": [{"file": "a.png", "right": 1}]}', "neither true nor"),
        ('{"part": "pictures", "images": [], "columns": "10"}', "not an integer"),
        ('{"part": "audio"}', "audio without a file name"),
        ('{"part": "audio", "file": "a.png"}', "not a file for audio"),
        ('{"part": "audio", "file": "a.wav", "caption": 3}', "a caption that is not text"),
        ('{"part": "svg", "file": "a.txt"}', "not a file for svg"),
        ('{"part": "text"}', "either a file or its characters"),
        ('{"part": "text", "text": "a", "file": "a.txt"}', "either a file or its characters"),
        ('{"part": "text", "text": 3}', "without a file name"),
        ('{"part": "text", "text": "a", "spans": {}}', "spans that are not a list"),
        (f'{SPAN}"start": 2, "end": 1}}]}}', "a span without"),
        (f'{SPAN}"start": 0}}]}}', "a span without"),
        (f'{SPAN}"start": 0, "end": 1, "colour": "x y"}}]}}', "a span without"),
        (f'{SPAN}"start": 0, "end": 1, "colour": true}}]}}', "a span without"),
        (f'{SPAN}"start": 0, "end": 1, "label": 1}}]}}', "a span without"),
        ('{"part": "table", "header": ["a"], "rows": [[1, 2]]}', "do not match the header"),
        ('{"part": "table", "header": ["a"], "rows": [[{}]]}', "a damaged cell"),
        (f'{PLOT}{{"name": "s", "x": [1], "y": [NaN]}}]}}', "not a number"),
        (f'{PLOT}{{"name": "s", "x": [1], "y": []}}]}}', "unequal length"),
    ],
)
def test_a_damaged_part_is_named(tmp_path: Path, part: str, reason: str) -> None:
    index = f'{{"version": 2, "samples": [{{"title": "t", "parts": [{part}]}}]}}'
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(ValueError, match=rf"index\.json: sample 0: .*{reason}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            '{"version": 3, "samples": []}',
            "format version 3, and this dlcore reads up to 2; update",
        ),
        ('{"version": "2", "samples": []}', "not a list of samples"),
        ('{"version": 2}', "not a list of samples"),
        ('{"version": 2, "samples": [3]}', "sample 0: no title"),
        ('{"version": 2, "samples": [{"title": "t"}]}', "sample 0: no parts"),
        ('[{"kind": "film", "title": "t"}]', "sample 0: unknown kind 'film'"),
    ],
)
def test_an_index_of_another_form_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=reason):
        load(tmp_path)


def test_fields_of_other_parts_are_ignored(tmp_path: Path) -> None:
    part = {"part": "table", "header": [], "rows": [], "images": 3, "file": [], "spans": "x"}
    index = {"version": 2, "samples": [{"title": "t", "parts": [part]}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert load(tmp_path) == index["samples"]


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.wav"])
def test_a_file_of_another_type_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<svg onload=alert(1)>")
    with pytest.raises(ValueError, match=rf"{name}: not a (PNG|GIF|WAV)"):
        read(tmp_path, name)


def test_a_missing_file_and_a_false_png_are_named(tmp_path: Path) -> None:
    save(tmp_path / "samples", [Images("a", np.zeros((2, 2, 2)))])
    (tmp_path / "samples" / "00-0000.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(ValueError, match=r"00-0000\.png: not a PNG"):
        read(tmp_path / "samples", "00-0000.png")
    (tmp_path / "samples" / "00-0001.png").unlink()
    with pytest.raises(ValueError, match=r"00-0001\.png: missing"):
        load(tmp_path / "samples")
