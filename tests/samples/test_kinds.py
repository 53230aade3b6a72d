"""A kind of sample is one class: those of this file reach the disk and the report through parts."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcore.report import gallery, runs
from dlcore.runs import sample_files
from dlcore.samples import Figure, Part, PartWriter, Sample, Span, evenly
from tests.report.pages import make

pytestmark = pytest.mark.quick


@dataclass(frozen=True)
class Boxes:
    """Detected boxes (top, left, bottom, right) in an image [height, width, 3]."""

    title: str
    image: np.ndarray
    boxes: tuple[tuple[int, int, int, int], ...]

    def parts(self, files: PartWriter) -> list[Part]:
        picture = self.image.copy()
        for top, left, bottom, right in self.boxes:
            picture[[top, bottom], left : right + 1] = 255
            picture[top : bottom + 1, [left, right]] = 255
        rows = [(i, *box) for i, box in enumerate(self.boxes)]
        table = files.table(("box", "top", "left", "bottom", "right"), rows)
        return [files.pictures(picture[None], (f"{len(rows)} boxes",), columns=1), table]


@dataclass(frozen=True)
class Made:
    """A sample whose parts a function makes."""

    title: str
    make: Callable[[PartWriter], Part]

    def parts(self, files: PartWriter) -> list[Part]:
        return [self.make(files)]


def saved(folder: Path, *samples: Sample) -> tuple[list[list[Part]], str]:
    """The parts of each sample as they are on disk, and the samples of the report."""
    run = make(folder)
    sample_files.save(run / "samples", samples)
    parts = [sample["parts"] for sample in sample_files.load(run / "samples")]
    return parts, str(gallery.gallery(runs.read_all([run])))


def test_a_class_of_its_own_is_a_sample(tmp_path: Path) -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    parts, text = saved(tmp_path, Boxes("Boxes", image, ((1, 2, 4, 6),)))
    ((picture, table),) = parts
    content = sample_files.read(tmp_path / "samples", picture["images"][0]["file"])
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert shown[1, 2:7].min() == shown[4, 2:7].min() == shown[1:5, 2].min() == 255
    assert shown.sum() == 255 * 3 * 14
    assert table["rows"] == [[0, 1, 2, 4, 6]]
    assert re.findall('<div class="part">', text) == ['<div class="part">'] * 2
    assert text.index("1 boxes") < text.index("<table>")


def test_spans_are_drawn_with_their_colours_and_labels(tmp_path: Path) -> None:
    words = "Ada met <b> in Paris"
    spans = (Span(0, 3, "PER", 1), Span(8, 11, "<i>", "wrong"), Span(15, 20, "LOC", 12))
    _, text = saved(tmp_path, Made("entities", lambda files: files.text(words, spans)))
    assert '<span class="span k1">Ada<b class="label">PER</b></span><span> met </span>' in text
    assert '<span class="span wrong">&lt;b&gt;<b class="label">&lt;i&gt;</b></span>' in text
    assert '<span class="span k2">Paris<b class="label">LOC</b></span></div>' in text


def test_the_later_of_overlapping_spans_is_on_top(tmp_path: Path) -> None:
    spans = (Span(0, 6, "a", 0), Span(2, 4, "b", 1), Span(3, 3, "nothing", 2))
    _, text = saved(tmp_path, Made("t", lambda files: files.text("012345", spans)))
    found = re.findall(r'<span class="span (k\d)">(\d+)(?:<b class="label">(\w)</b>)?', text)
    assert found == [("k0", "01", ""), ("k1", "23", "b"), ("k0", "45", "a")]


def test_spans_keep_their_characters_when_some_cannot_be_written(tmp_path: Path) -> None:
    spans = (Span(2, 4, "x", 3),)
    _, text = saved(tmp_path, Made("t", lambda files: files.text("\ud800\N{SNOWMAN}ab\r\n", spans)))
    assert '<span>?\N{SNOWMAN}</span><span class="span k3">ab<' in text


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_sound_comes_back(tmp_path: Path, dtype: Any) -> None:
    scale = 1 if dtype is np.int16 else 1 / 32767
    signal = (np.array([[0, 1], [-32767, 32767], [100, -100]]) * scale).astype(dtype)
    ((part,),), text = saved(tmp_path, Made("s", lambda files: files.audio(signal, 8000, "<hi>")))
    assert part["outside"] == 0
    with wave.open(io.BytesIO(sample_files.read(tmp_path / "samples", part["file"]))) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 2)
        frames = np.frombuffer(file.readframes(9), "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(frames, [[0, 1], [-32767, 32767], [100, -100]])
    assert '<audio controls preload="metadata" src="data:audio/wav;base64,' in text
    assert "&lt;hi&gt;" in text


def test_sound_that_is_clipped_is_counted(tmp_path: Path) -> None:
    signal = np.array([2.0, -2.0, np.nan, np.inf, 0.5])
    ((part,),), text = saved(tmp_path, Made("s", lambda files: files.audio(signal, 8000)))
    with wave.open(io.BytesIO(sample_files.read(tmp_path / "samples", part["file"]))) as file:
        frames = np.frombuffer(file.readframes(9), "<i2")
    np.testing.assert_array_equal(frames, [32767, -32767, 0, 32767, 16384])
    assert "4 values were outside [-1, 1] or not finite and are clipped" in text


def test_an_animation_comes_back_frame_by_frame(tmp_path: Path) -> None:
    clip = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    animate = Made("clip", lambda files: files.animations([clip], 20, ("moves",), columns=1))
    ((part,),), text = saved(tmp_path, animate)
    content = sample_files.read(tmp_path / "samples", part["images"][0]["file"])
    with Image.open(io.BytesIO(content)) as file:
        assert (file.n_frames, file.info["duration"], file.info["loop"]) == (3, 50, 0)
        for i in range(3):
            file.seek(i)
            np.testing.assert_array_equal(np.asarray(file.convert("L")), clip[i])
    assert 'src="data:image/gif;base64,' in text
    clips = [np.zeros((2, 6, 2), np.uint8), np.zeros((2, 4, 5), np.uint8)]
    ((part,),), _ = saved(tmp_path / "two", Made("two", lambda files: files.animations(clips)))
    assert (part["height"], part["width"]) == (6, 5)


class Drawing:
    """A figure that saves what it was given, as matplotlib's `savefig` does."""

    def __init__(self, vector: str) -> None:
        self.vector, self.forms = vector, []  # type: ignore[var-annotated]

    def savefig(self, fname: Any, *, format: str) -> None:
        self.forms.append(format)
        if format == "svg":
            fname.write(self.vector.encode())
        else:
            Image.fromarray(np.full((3, 4, 4), 9, np.uint8)).save(fname, format="PNG")


def test_a_figure_is_a_cleaned_drawing(tmp_path: Path) -> None:
    rect = "<rect style='fill: red; filter: url(#a)'/>"
    figure = Drawing(f"<svg><script>alert(1)</script>{rect}</svg>")
    ((part,),), text = saved(tmp_path, Figure("a <figure>", figure))
    content = sample_files.read(tmp_path / "samples", part["file"]).decode()
    assert content == '<svg xmlns="http://www.w3.org/2000/svg"><rect fill="red" /></svg>'
    assert figure.forms == ["svg"]
    assert '<figure class="drawing"><img src="data:image/svg+xml;base64,' in text
    assert 'alt="a &lt;figure&gt;"' in text


@pytest.mark.parametrize("body", ["<image/>", "<g/>" * 100_001], ids=["raster", "large"])
def test_a_figure_that_svg_does_not_suit_is_a_picture(tmp_path: Path, body: str) -> None:
    ((part,),), text = saved(tmp_path, Figure("f", Drawing(f"<svg>{body}</svg>")))
    assert (part["part"], part["height"], part["width"]) == ("pictures", 3, 4)
    assert 'class="grid n1 small bare"' in text


@pytest.mark.parametrize(
    ("make_part", "reason"),
    [
        (lambda files: files.audio(np.zeros((2, 3)), 8000), "neither"),
        (lambda files: files.audio(np.zeros(2, np.int32), 8000), "no known range"),
        (lambda files: files.audio(np.zeros(2), 0), "rate of 0"),
        (lambda files: files.text("abc", [Span(1, 4)]), r"span 1\.\.4 is outside of the 3"),
        (lambda files: files.text("abc", [Span(0, 1, "", "url(x)")]), "colour 'url"),
        (lambda files: files.animations([np.zeros((2, 2, 2))], 60), r"not in \(0, 50\]"),
        (lambda files: files.animations([np.zeros((0, 2, 2))]), "without frames"),
        (lambda files: files.svg("<svg"), "not well-formed"),
        (lambda files: {"part": "film"}, "unknown part 'film'"),
        (lambda files: {"part": "text", "file": "absent.txt"}, "missing"),
        (lambda files: None, "unknown part None"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path: Path, make_part: Any, reason: str) -> None:
    sample_files.save(tmp_path / "samples", [])
    with pytest.raises(ValueError, match=reason):
        sample_files.save(tmp_path / "samples", [Made("t", make_part)])
    assert sample_files.load(tmp_path / "samples") == []


def test_an_object_without_parts_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sample 0 is a ndarray, not a sample: it needs a `title`"):
        sample_files.save(tmp_path / "samples", [np.zeros(3)])  # type: ignore[list-item]


def test_texts_are_printed_whatever_the_kind(tmp_path: Path) -> None:
    samples = [Made("a", lambda files: files.text("one")), Boxes("b", np.zeros((2, 2, 3)), ())]
    sample_files.save(tmp_path / "samples", samples)
    assert sample_files.texts(tmp_path / "samples") == [("a", ["one"]), ("b", [])]


def test_a_series_has_a_point_of_each_example_or_as_many_as_a_plot_shows() -> None:
    index, label = evenly(5, "rows")
    assert (index.tolist(), label) == ([0, 1, 2, 3, 4], "rows")
    index, label = evenly(120_000, "rows")
    assert (index[0], index[-1], len(index)) == (0, 119_999, 50_000)
    assert (np.diff(index) > 0).all()
    assert label == "rows, 50,000 of 120,000 shown"
