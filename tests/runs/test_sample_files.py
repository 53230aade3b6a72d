"""Samples come back as they were saved, and are replaced whole or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore import samples
from dlcore.runs.sample_files import load, read, save
from dlcore.samples import Images, Plot, Series, Table, Text
from dlcore.samples.parts import PLOT_VALUES, TEXT_SPANS


def parts(folder: Path) -> list[dict]:
    """The only part of each sample of a folder."""
    return [part for sample in load(folder) for part in sample["parts"]]


def pixels(folder: Path, entry: dict) -> np.ndarray:
    return np.stack(
        [
            np.asarray(Image.open(io.BytesIO(read(folder, image["file"]))))
            for image in entry["images"]
        ]
    )


@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 5, 7, 1), (2, 5, 7, 3), (0, 5, 7)])
def test_bytes_come_back_pixel_by_pixel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save(tmp_path / "samples", [Images("a", images)])
    (entry,) = parts(tmp_path / "samples")
    assert len(entry["images"]) == shape[0]
    if shape[0]:
        expected = images[..., 0] if shape[-1] == 1 else images
        np.testing.assert_array_equal(pixels(tmp_path / "samples", entry), expected)


def test_floats_that_stand_for_bytes_come_back_exactly(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    save(
        tmp_path / "samples",
        [Images("a", levels / 255), Images("b", levels.astype(np.float32) / np.float32(255))],
    )
    for entry in parts(tmp_path / "samples"):
        np.testing.assert_array_equal(pixels(tmp_path / "samples", entry), levels)
        assert entry["outside"] == 0


def test_what_is_clipped_is_counted(tmp_path: Path) -> None:
    save(tmp_path / "samples", [Images("a", np.array([[[-1.0, 0.5], [np.nan, 2.0]]]))])
    (entry,) = parts(tmp_path / "samples")
    assert entry["outside"] == 3
    np.testing.assert_array_equal(pixels(tmp_path / "samples", entry), [[[0, 128], [0, 255]]])


def test_words_and_numbers_come_back(tmp_path: Path) -> None:
    text = "one\r\ntwo\t\N{SNOWMAN} </script>"
    table = Table(
        "t", ("x", "y"), (("a", np.float32(1.5)), ("b", float("nan")), ("c", np.int64(3)))
    )
    images = Images("i", np.zeros((2, 2, 2)), ("<b>", "\N{SNOWMAN}"), (True, False), columns=2)
    save(tmp_path / "samples", [Text("w", text, "once"), table, images])
    words, numbers, pictures = parts(tmp_path / "samples")
    assert read(tmp_path / "samples", words["file"]).decode() == "once" + text
    assert words["spans"] == [{"start": 0, "end": 4, "label": "", "colour": "prompt"}]
    assert numbers["rows"] == [["a", 1.5], ["b", "nan"], ["c", 3]]
    assert [(image["caption"], image["right"]) for image in pictures["images"]] == [
        ("<b>", True),
        ("\N{SNOWMAN}", False),
    ]


def test_a_plots_numbers_come_back_and_what_is_not_finite_is_a_gap(tmp_path: Path) -> None:
    y = np.array([0.1, np.nan, np.inf, -np.inf, 1e300], np.float64)
    narrow = Series("narrow", np.array([1, 2]), np.array([0.1, 1 / 3], np.float32), points=True)
    save(
        tmp_path / "samples",
        [
            Plot(
                "p", "steps", "loss (nats)", (Series("coarse", np.arange(5), y), narrow), log_y=True
            )
        ],
    )
    text = (tmp_path / "samples" / "index.json").read_text()
    index = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert index["version"] == 2
    assert load(tmp_path / "samples") == index["samples"]
    ((entry,),) = [sample["parts"] for sample in index["samples"]]
    assert (entry["x"], entry["y"], entry["log_x"], entry["log_y"]) == (
        "steps",
        "loss (nats)",
        False,
        True,
    )
    assert [(one["name"], one["points"]) for one in entry["series"]] == [
        ("coarse", False),
        ("narrow", True),
    ]
    assert entry["series"][0]["y"] == [0.1, None, None, None, None]
    np.testing.assert_array_equal(np.float32(entry["series"][1]["y"]), narrow.y)


@pytest.mark.parametrize(
    "sample",
    [
        Plot("unequal", "x", "y", (Series("s", np.zeros(3), np.zeros(2)),)),
        Plot("square", "x", "y", (Series("s", np.zeros((2, 2)), np.zeros((2, 2))),)),
        Plot("words", "x", "y", (Series("s", np.array(["a"]), np.zeros(1)),)),
        Plot(
            "too many",
            "x",
            "y",
            (
                Series("s", np.zeros(PLOT_VALUES), np.zeros(PLOT_VALUES)),
                Series("t", np.zeros(1), np.zeros(1)),
            ),
        ),
        Images("flat", np.zeros((4, 4))),
        Images("two channels", np.zeros((1, 4, 4, 2))),
        Images("labels", np.zeros((1, 4, 4), np.int32)),
        Images("too few captions", np.zeros((2, 4, 4)), ("one",)),
        Table("ragged", ("a", "b"), (("1",),)),
    ],
    ids=lambda sample: sample.title,
)
def test_a_failed_save_leaves_the_old_samples(tmp_path: Path, sample: samples.Sample) -> None:
    save(tmp_path / "samples", [Text("old", "still here")])
    with pytest.raises(ValueError, match=sample.title):
        save(tmp_path / "samples", [Text("new", "half"), sample])
    assert [entry["title"] for entry in load(tmp_path / "samples")] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_more_spans_than_a_report_shows_are_refused(tmp_path: Path) -> None:
    writer = samples.PartWriter(tmp_path, 0, "marks")
    marks = [samples.Span(0, 1)] * TEXT_SPANS
    assert len(writer.text("a", marks)["spans"]) == TEXT_SPANS
    with pytest.raises(ValueError, match="'marks': 10,001 spans are more than 10,000"):
        writer.text("a", [*marks, samples.Span(0, 1)])
    assert [path.name for path in tmp_path.iterdir()] == ["00-0000.txt"]


def test_a_failed_swap_puts_the_old_samples_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "samples", [Text("old", "still here")])
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError("disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk is gone"):
        save(tmp_path / "samples", [Text("new", "half")])
    assert [entry["title"] for entry in load(tmp_path / "samples")] == ["old"]


def test_save_replaces_everything_and_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".samples.new").mkdir()
    (tmp_path / ".samples.new" / "junk.png").touch()
    save(tmp_path / "samples", [Images("a", np.zeros((5, 2, 2)))])
    save(tmp_path / "samples", [Text("b", "b")])
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "00-0000.txt",
        "index.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_no_folder_means_no_samples(tmp_path: Path) -> None:
    assert load(tmp_path / "samples") == []
