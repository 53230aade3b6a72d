"""The protocol of a sample, and the kinds that most experiments need."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
from PIL import Image

from dlcore.samples import svg
from dlcore.samples.parts import Part, Series, Span
from dlcore.samples.writer import PartWriter


class Sample(Protocol):
    """Describes something that a run shows; any class with `title` and `parts` is a sample."""

    @property
    def title(self) -> str:
        """The heading; samples of the same title of several runs are shown in one row."""
        ...

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the sample's files and returns its parts, made by the methods of `files`.

        Raises:
            ValueError: the content cannot be shown; the samples on disk stay as they were.
        """
        ...


@dataclass(frozen=True)
class Images:
    """Images in a grid.

    Attributes:
        title: heading.
        images: [N,H,W] or [N,H,W,1|3], float in [0, 1] or uint8; values outside are clipped.
        captions: none, or one per image.
        right: none, or whether each prediction is correct, one per image.
        columns: number of columns of the grid, at most 20.
    """

    title: str
    images: np.ndarray
    captions: tuple[str, ...] = ()
    right: tuple[bool, ...] = ()
    columns: int = 10

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the images and returns one part "pictures"."""
        return [files.pictures(self.images, self.captions, self.right, self.columns)]


@dataclass(frozen=True)
class Animations:
    """Videos in a grid.

    Attributes:
        title: heading.
        clips: [frames, h, w] or [frames, h, w, 1|3] each, uint8 or float in [0, 1].
        captions: none, or one per video.
        columns: number of columns of the grid, at most 20.
        frames_per_second: of all videos, in (0, 50].
    """

    title: str
    clips: Sequence[np.ndarray]
    captions: tuple[str, ...] = ()
    columns: int = 3
    frames_per_second: float = 5.0

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the animations and returns one part "pictures"."""
        return [
            files.animations(
                self.clips, self.frames_per_second, self.captions, columns=self.columns
            )
        ]


@dataclass(frozen=True)
class Text:
    """A generated text, and the prompt that it continues.

    Attributes:
        title: heading.
        text: the generated text.
        prompt: shown before it, in another colour.
    """

    title: str
    text: str
    prompt: str = ""

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the text and returns one part "text"."""
        spans = [Span(0, len(self.prompt), colour="prompt")] if self.prompt else []
        return [files.text(self.prompt + self.text, spans)]


@dataclass(frozen=True)
class Table:
    """A table, such as a confusion matrix.

    Attributes:
        title: heading.
        header: names of the columns.
        rows: cells, as many per row as columns; a cell that is not finite is shown as text.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]

    def parts(self, files: PartWriter) -> list[Part]:
        """Returns one part "table"."""
        return [files.table(self.header, self.rows)]


@dataclass(frozen=True)
class Plot:
    """Lines and point clouds.

    Attributes:
        title: heading.
        x, y: labels of the axes, with their units.
        series: the lines and clouds.
        log_x, log_y: whether an axis is logarithmic.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False

    def parts(self, files: PartWriter) -> list[Part]:
        """Returns one part "plot"."""
        return [files.plot(self.x, self.y, self.series, self.log_x, self.log_y)]


class SavesFigure(Protocol):
    """A matplotlib figure, or any object with its `savefig`."""

    def savefig(self, fname: IO[bytes], /, *, format: str) -> object:
        """Writes the figure to a binary file object.

        Args:
            fname: the file object.
            format: "svg" or "png".
        """
        ...


@dataclass(frozen=True)
class Figure:
    """A matplotlib figure, shown as SVG.

    A figure with raster images (imshow), and one whose SVG exceeds the limits of `svg.clean` (many
    thousands of points), is shown as PNG instead. The figure is not closed.

    Attributes:
        title: heading.
        figure: the figure.
    """

    title: str
    figure: SavesFigure

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the figure and returns one part, "svg" or "pictures"."""
        vector = self._saved("svg")
        if b"<image" not in vector:
            try:
                return [files.svg(vector)]
            except svg.TooLargeError:
                pass
        with Image.open(io.BytesIO(self._saved("png"))) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        return [files.pictures(pixels[None], columns=1)]

    def _saved(self, form: str) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=form)
        return buffer.getvalue()
