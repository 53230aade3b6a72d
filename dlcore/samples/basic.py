"""What a sample is, and the kinds that most experiments need: images, text, table, plot, figure."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from dlcore.samples import svg
from dlcore.samples.parts import Part, Series, Span
from dlcore.samples.writer import PartWriter


class Sample(Protocol):
    """Something that a run shows. Any class with these two members is a sample."""

    @property
    def title(self) -> str:
        """The heading; samples of the same title of several runs are shown in one row."""
        ...

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the sample's files and describes it as parts, made by the methods of `files`.

        Raises ValueError where the content cannot be shown; the samples on disk stay as they were.
        """
        ...


@dataclass(frozen=True)
class Images:
    """Images [N,H,W] or [N,H,W,1|3], float in [0,1] or uint8, shown in a grid.

    captions: none, or one per image. right: none, or whether each prediction is correct.
    """

    title: str
    images: np.ndarray
    captions: tuple[str, ...] = ()
    right: tuple[bool, ...] = ()
    columns: int = 10

    def parts(self, files: PartWriter) -> list[Part]:
        return [files.pictures(self.images, self.captions, self.right, self.columns)]


@dataclass(frozen=True)
class Text:
    """A generated text, and the prompt that it continues."""

    title: str
    text: str
    prompt: str = ""

    def parts(self, files: PartWriter) -> list[Part]:
        spans = [Span(0, len(self.prompt), colour="prompt")] if self.prompt else []
        return [files.text(self.prompt + self.text, spans)]


@dataclass(frozen=True)
class Table:
    """Numbers that are not a curve, such as a confusion matrix."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]

    def parts(self, files: PartWriter) -> list[Part]:
        return [files.table(self.header, self.rows)]


@dataclass(frozen=True)
class Plot:
    """Lines and point clouds; `x` and `y` label the axes, with their units."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False

    def parts(self, files: PartWriter) -> list[Part]:
        return [files.plot(self.x, self.y, self.series, self.log_x, self.log_y)]


class SavesFigure(Protocol):
    """A matplotlib figure, or anything else with its `savefig`."""

    def savefig(self, fname: Any, /, *, format: str) -> Any:
        """Writes the figure to the binary file object `fname` as "svg" or "png"."""
        ...


@dataclass(frozen=True)
class Figure:
    """A matplotlib figure, shown as SVG.

    A figure with raster images (imshow), and one whose SVG exceeds the limits of `svg.clean` (many
    thousands of points), is shown as PNG instead.
    """

    title: str
    figure: SavesFigure

    def parts(self, files: PartWriter) -> list[Part]:
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
