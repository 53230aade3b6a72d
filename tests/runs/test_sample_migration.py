"""Samples folders of version 1 are shown like those of today."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcore import samples
from dlcore.report import gallery, runs
from dlcore.runs import sample_files
from tests.report.pages import make

pytestmark = pytest.mark.quick

TABLE = {"header": ["a", "b"], "rows": [["x", 1.5]]}
PLOT = {"x": "step", "y": "loss", "log_x": False, "log_y": True}
SERIES = {"name": "s", "points": False, "x": [1, 2], "y": [0.5, None]}
SIZES = {"columns": 3, "height": 2, "width": 2, "outside": 0}
IMAGE = {"file": "a.png", "caption": "c", "right": True}
OLD = [
    {"kind": "text", "title": "words", "prompt": "It ", "file": "00.txt"},
    {"kind": "text", "title": "more", "prompt": "", "file": "01.txt"},
    {"kind": "images", "title": "i", **SIZES, "images": [IMAGE]},
    {"kind": "table", "title": "t", **TABLE},
    {"kind": "plot", "title": "p", **PLOT, "series": [SERIES]},
]


def test_an_old_folder_gives_the_same_html(tmp_path: Path) -> None:
    today, old = make(tmp_path / "new" / "run"), make(tmp_path / "old" / "run")
    series = (samples.Series("s", np.array([1, 2]), np.array([0.5, np.nan])),)
    kinds = [
        samples.Text("words", "goes on", "It "),
        samples.Text("more", "alone"),
        samples.Images("i", np.zeros((1, 2, 2)), ("c",), (True,), columns=3),
        samples.Table("t", ("a", "b"), (("x", 1.5),)),
        samples.Plot("p", "step", "loss", series, log_y=True),
    ]
    sample_files.save(today / "samples", kinds)
    folder = old / "samples"
    folder.mkdir()
    (folder / "00.txt").write_text("goes on")
    (folder / "01.txt").write_text("alone")
    (folder / "a.png").write_bytes((today / "samples" / "02-0000.png").read_bytes())
    (folder / "index.json").write_text(json.dumps(OLD))
    html = str(gallery.gallery(runs.read_all([old])))
    assert html == str(gallery.gallery(runs.read_all([today])))
    assert html.count("<article") == 5
    assert sample_files.texts(folder) == sample_files.texts(today / "samples")


def test_a_text_of_an_old_folder_leads_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    for entry in (OLD[0] | {"file": "../secret.txt"}, OLD[1] | {"file": "../secret.txt"}):
        (folder / "index.json").write_text(json.dumps([entry]))
        with pytest.raises(ValueError, match=r"index\.json.*not inside the folder"):
            sample_files.load(folder)
