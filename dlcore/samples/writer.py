"""Writes the files of one sample and describes them as parts."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.samples import svg
from dlcore.samples.parts import AXIS_LIMIT, MARKS, PLOT_VALUES, TEXT_SPANS, Part, Series, Span


@dataclass
class PartWriter:
    """Writes the files of one sample; each method returns the part that describes them.

    A part is shown only if the sample's method `parts` returns it. All methods raise ValueError,
    which names the sample, where the content cannot be shown.

    Attributes:
        folder: where the files are written.
        position: of the sample among all samples of the run.
        title: of the sample.
    """

    folder: Path
    position: int
    title: str
    _count: int = field(default=0, init=False)

    def pictures(
        self,
        images: np.ndarray,
        captions: Sequence[str] = (),
        right: Sequence[bool] = (),
        columns: int = 10,
    ) -> Part:
        """Writes images as PNG files, which the report shows in a grid.

        Args:
            images: [N,H,W] or [N,H,W,1|3], uint8, or floats in [0, 1]; values outside are clipped,
                and counted in the part (see `to_uint8`).
            captions: none, or one per image.
            right: none, or whether each prediction is correct, one per image.
            columns: number of columns of the grid; the report shows at most 20.

        Raises:
            ValueError: see `to_uint8`, or another number of `captions` or of `right`.
        """
        pixels, outside = to_uint8(images, self.title)
        entries: list[Part] = []
        for image in pixels:
            path = self._path(".png")
            Image.fromarray(image).save(path, format="PNG", optimize=False)
            entries.append({"file": path.name})
        return self._grid(entries, pixels.shape[1:3], outside, captions, right, columns)

    def animations(
        self,
        clips: Sequence[np.ndarray],
        frames_per_second: float = 10.0,
        captions: Sequence[str] = (),
        right: Sequence[bool] = (),
        columns: int = 10,
    ) -> Part:
        """Writes clips as GIF animations that repeat endlessly, which the report shows in a grid.

        Args:
            clips: each [T,H,W] or [T,H,W,1|3] with T >= 1; dtypes and ranges as the images of
                `pictures`.
            frames_per_second: above 0, at most 50, the limit of GIF in browsers.
            captions, right, columns: see `pictures`; one caption or `right` per clip.

        Raises:
            ValueError: see `pictures`; a clip without frames; or a rate outside (0, 50].
        """
        if not 0 < frames_per_second <= 50:
            rate = f"{frames_per_second} frames per second"
            raise ValueError(f"animation {self.title!r}: {rate} are not in (0, 50]")
        entries: list[Part] = []
        total, size = 0, (1, 1)
        for clip in clips:
            pixels, outside = to_uint8(clip, self.title)
            if not len(pixels):
                raise ValueError(f"animation {self.title!r}: a clip without frames; leave it out")
            total += outside
            size = max(size[0], pixels.shape[1]), max(size[1], pixels.shape[2])
            first, *rest = [Image.fromarray(frame) for frame in pixels]
            path, duration = self._path(".gif"), round(1000 / frames_per_second)
            first.save(path, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
            entries.append({"file": path.name})
        return self._grid(entries, size, total, captions, right, columns)

    def audio(self, signal: np.ndarray, rate: int, caption: str = "") -> Part:
        """Writes a sound as a WAV file of 16-bit PCM.

        Args:
            signal: [T] or [T, 1|2] (channels), int16, or floats in [-1, 1]; values outside are
                clipped (NaN becomes 0), and counted in the part unless they exceed the range by at
                most 0.001.
            rate: samples per second, 1 to 192,000.
            caption: shown below the player.

        Raises:
            ValueError: another shape, integers other than int16, or a rate outside its range.
        """
        array = np.asarray(signal)
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] not in (1, 2):
            shape = np.shape(signal)
            raise ValueError(f"audio {self.title!r}: shape {shape} is neither [T] nor [T, 1|2]")
        if array.dtype != np.int16 and array.dtype.kind in "iub":
            hint = "pass int16, or floats in [-1, 1]"
            raise ValueError(f"audio {self.title!r}: {array.dtype} has no known range; {hint}")
        if not 1 <= int(rate) <= 192_000:
            raise ValueError(f"audio {self.title!r}: a rate of {rate} Hz is not in 1..192,000")
        outside = 0
        if array.dtype != np.int16:
            array = array.astype(np.float32)
            outside = int(np.sum(~(np.abs(array) <= 1 + 1e-3)))
            array = np.clip(np.nan_to_num(array, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
            array = np.rint(array * 32767).astype(np.int16)
        path = self._path(".wav")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(array.shape[1])
            file.setsampwidth(2)
            file.setframerate(int(rate))
            file.writeframes(array.astype("<i2").tobytes())
        return {"part": "audio", "file": path.name, "caption": str(caption), "outside": outside}

    def text(self, text: str, spans: Iterable[Span] = ()) -> Part:
        """Writes a text as a UTF-8 file, and describes it with its marked spans.

        Args:
            text: the characters.
            spans: ranges of characters to mark; where they overlap, the later one is drawn on top.

        Returns:
            The part: its form, the name of the file, and the spans.

        Raises:
            ValueError: a span outside of the text, one of an unknown or negative colour, or more
                than `TEXT_SPANS` spans.
        """
        entries: list[Part] = []
        for span in spans:
            start, end = int(span.start), int(span.end)
            if not 0 <= start <= end <= len(text):
                where = f"span {start}..{end} is outside of the {len(text):,} characters"
                raise ValueError(f"text {self.title!r}: {where}")
            colour = span.colour if isinstance(span.colour, str) else int(span.colour)
            if colour not in MARKS if isinstance(colour, str) else colour < 0:
                hint = f"a number from 0 on, or one of {', '.join(MARKS)}"
                raise ValueError(f"text {self.title!r}: span colour {colour!r} is not {hint}")
            label = str(span.label)
            entries.append({"start": start, "end": end, "label": label, "colour": colour})
        if len(entries) > TEXT_SPANS:
            counts = f"{len(entries):,} spans are more than {TEXT_SPANS:,}; choose some of them"
            raise ValueError(f"text {self.title!r}: {counts}")
        path = self._path(".txt")
        # Bytes: line ends stay as they are. A lone surrogate becomes one "?", so that spans keep
        # their positions.
        path.write_bytes(text.encode("utf-8", errors="replace"))
        return {"part": "text", "file": path.name, "spans": entries}

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str | float]]) -> Part:
        """Describes a table, and writes no file.

        The report shades it as a confusion matrix where the first cells of its rows, two at least,
        are the names of `header` without the first, and no other cell is negative or text.

        Args:
            header: names of the columns.
            rows: cells, as many per row as columns; a cell that is not finite becomes text.

        Raises:
            ValueError: a row with another number of cells.
        """
        cells = [[_cell(cell) for cell in row] for row in rows]
        for row in cells:
            if len(row) != len(header):
                counts = f"a row has {len(row)} cells under {len(header)} headings"
                raise ValueError(f"table {self.title!r}: {counts}")
        return {"part": "table", "header": [str(name) for name in header], "rows": cells}

    def plot(
        self,
        x: str,
        y: str,
        series: Sequence[Series],
        log_x: bool = False,
        log_y: bool = False,
    ) -> Part:
        """Describes lines and point clouds, and writes no file.

        Args:
            x, y: labels of the axes, with their units.
            series: values that are not finite, or of a magnitude above `AXIS_LIMIT`, are gaps.
            log_x, log_y: whether an axis is logarithmic.

        Raises:
            ValueError: a series whose x and y are not numbers [N] of one length, or more than
                `PLOT_VALUES` points in all.
        """
        entries = [_series_entry(one, self.title) for one in series]
        total = sum(len(one["x"]) for one in entries)
        if total > PLOT_VALUES:
            counts = f"{total:,} points are more than {PLOT_VALUES:,}; choose some of them"
            raise ValueError(f"plot {self.title!r}: {counts}")
        axes = {"x": str(x), "y": str(y), "log_x": bool(log_x), "log_y": bool(log_y)}
        return {"part": "plot", **axes, "series": entries}

    def svg(self, content: bytes | str, caption: str = "") -> Part:
        """Writes a vector drawing without its unsafe elements (see `dlcore.samples.svg`).

        Args:
            content: an SVG document; bytes in UTF-8.
            caption: shown below it.

        Raises:
            svg.TooLargeError: the drawing exceeds the limits of `svg.clean`; a ValueError too.
            ValueError: `svg.clean` rejects the content for another reason.
        """
        raw = content.encode("utf-8") if isinstance(content, str) else content
        try:
            cleaned = svg.clean(raw)
        except ValueError as error:
            raise type(error)(f"drawing {self.title!r}: {error}") from error
        path = self._path(".svg")
        path.write_bytes(cleaned.encode("utf-8"))
        return {"part": "svg", "file": path.name, "caption": str(caption)}

    def _path(self, suffix: str) -> Path:
        path = self.folder / f"{self.position:02d}-{self._count:04d}{suffix}"
        self._count += 1
        return path

    def _grid(
        self,
        entries: list[Part],
        size: tuple[int, ...],
        outside: int,
        captions: Sequence[str],
        right: Sequence[bool],
        columns: int,
    ) -> Part:
        for name, values in (("captions", captions), ("right", right)):
            if len(values) not in (0, len(entries)):
                counts = f"{len(values)} {name} for {len(entries)} images"
                raise ValueError(f"images {self.title!r}: {counts}")
        for i, entry in enumerate(entries):
            if len(captions):
                entry["caption"] = str(captions[i])
            if len(right):
                entry["right"] = bool(right[i])
        shape = {"height": int(size[0]), "width": int(size[1]), "outside": outside}
        return {"part": "pictures", "columns": int(columns), **shape, "images": entries}


def to_uint8(images: np.ndarray, title: str = "") -> tuple[np.ndarray, int]:
    """Converts images to bytes.

    Args:
        images: [N,H,W] or [N,H,W,1|3], uint8, or floats in [0, 1].
        title: of the sample, for messages.

    Returns:
        uint8 [N,H,W] or [N,H,W,3], and the number of values that are not finite or outside
        [-0.001, 1.001]. Values outside [0, 1] are clipped, also those that are not counted; NaN
        becomes 0.

    Raises:
        ValueError: another shape, or integers other than uint8.
    """
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    rank = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)
    if not rank or 0 in array.shape[1:]:
        shape = np.shape(images)
        raise ValueError(f"images {title!r}: shape {shape} is neither [N,H,W] nor [N,H,W,1|3]")
    if array.dtype == np.uint8:
        return array, 0
    if array.dtype.kind in "iu":
        hint = "pass uint8, or floats in [0, 1]"
        raise ValueError(f"images {title!r}: {array.dtype} has no known range; {hint}")
    array = array.astype(np.float32)
    outside = int(np.sum(~((array >= -1e-3) & (array <= 1 + 1e-3))))
    array = np.clip(np.nan_to_num(array, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return np.rint(array * 255).astype(np.uint8), outside


def _cell(cell: str | float | np.number) -> str | int | float:
    """A table's cell as strict JSON can represent it."""
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, int | np.integer):
        return int(cell)
    value = float(cell)
    return value if math.isfinite(value) else str(value)


def _series_entry(series: Series, title: str) -> Part:
    x, y = np.asarray(series.x), np.asarray(series.y)
    numeric = x.dtype.kind in "iuf" and y.dtype.kind in "iuf"
    if x.ndim != 1 or x.shape != y.shape or not numeric:
        shapes = f"x {x.dtype}{list(x.shape)} and y {y.dtype}{list(y.shape)}"
        rule = f"series {series.name!r} needs two rows of numbers of one length, not {shapes}"
        raise ValueError(f"plot {title!r}: {rule}")
    head = {"name": str(series.name), "points": bool(series.points)}
    return {**head, "x": _coordinates(x), "y": _coordinates(y)}


def _coordinates(row: np.ndarray) -> list[float | None]:
    """The shortest decimal that represents each number in its own dtype; None for a gap."""
    values = [float(str(value)) for value in row]
    return [value if abs(value) <= AXIS_LIMIT else None for value in values]
