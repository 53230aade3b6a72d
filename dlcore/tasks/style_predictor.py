"""A user's photographs in another style: the trained one, or that of any picture."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
from jax import Array
from PIL import Image

from dlcore.bounds import Range
from dlcore.data.own import image_decoding
from dlcore.errors import UsageError
from dlcore.samples import Images
from dlcore.tasks.any_style import AnyStyle
from dlcore.tasks.style_transfer import padded, shrunk
from dlcore.train.model import Model
from dlcore.train.predictor import Answer, each_once
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class StyleOptions:
    """Flags of `dlcore predict` for a painter."""

    strength: Annotated[float, Range(0.0, 1.0)] = 1.0
    """weight of the painted picture in each pixel; the rest is the photograph"""
    longest: Annotated[int, Range(0)] = 0
    """pixels of the longer side that are painted, 0: the picture's own size"""


@dataclasses.dataclass(frozen=True)
class AnyStyleOptions:
    """Flags of `dlcore predict` for a network that takes any style."""

    style: str = ""
    """file of a picture, whose style the photographs get"""
    strength: Annotated[float, Range(0.0, 1.0)] = 1.0
    """fraction of the style in the features that are decoded; the rest is the photograph's own"""
    longest: Annotated[int, Range(0)] = 0
    """pixels of the longer side that are painted, 0: the picture's own size"""


def photograph_of(value: object) -> np.ndarray:
    """Converts an image of Pillow, or an array, to an array uint8 [height, width, 3].

    Raises:
        UsageError: an array of another shape or dtype, or an empty one; or see
            `image_decoding.of_pillow`.
    """
    if isinstance(value, Image.Image):
        value = image_decoding.of_pillow(value).convert("RGB")
    image = np.asarray(value)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UsageError(
            f"a photograph is uint8 [h, w, 3], and not {image.dtype} {image.shape}: give that,"
            " Pillow's image or a file"
        )
    return image


def _read(file: Path) -> np.ndarray:
    return np.asarray(image_decoding.upright(file).convert("RGB"))


def _painted(
    paint: Callable[[np.ndarray], Array], photograph: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of at most `longest` pixels a side, uint8, and the picture, float32 [h, w, 3].

    Args:
        paint: float32 [1, h, w, 3] in [0, 1] -> the same.
        photograph: uint8 [height, width, 3].
        longest: 0: its own size.
    """
    small = shrunk(photograph, longest) if longest else photograph
    height, width = small.shape[:2]
    made = np.asarray(paint(padded(small)[None].astype(np.float32) / 255))
    return small, made[0, :height, :width]


def _answered(picture: np.ndarray, style: str, strength: float) -> Answer:
    """The answer of a picture, float [h, w, 3] in [0, 1]."""
    height, width = picture.shape[:2]
    answer = {"style": style, "strength": strength, "width": width, "height": height}
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return answer, Images(f"In the style of {style}", pixels[None], columns=1)


@dataclasses.dataclass(frozen=True)
class StylePredictor:
    """Paints a user's photographs in the trained style, at their own size by default.

    Attributes:
        painter: maps photographs [batch, h, w, 3] in [0, 1] to pictures of the same shape.
        style: name of the style.
        options: flags of `dlcore predict`.
    """

    painter: Model
    style: str
    options: StyleOptions = dataclasses.field(default_factory=StyleOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads image files, each uint8 [height, width, 3] at its own size; text is ignored.

        Raises:
            UsageError: a file is not an image.
        """
        return [_read(file) for file in files]

    def item(self, value: object) -> np.ndarray:
        """Converts an RGB image of Pillow to uint8 [height, width, 3], see `photograph_of`."""
        return photograph_of(value)

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers photographs one by one; a program is compiled for each size.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"style", "strength", "width", "height"}, an `Images` of one picture) of each; "width"
            and "height" are those of the picture, after the reduction to `options.longest` if any.
        """
        return each_once(functools.partial(self._answer, state), items)

    def _answer(self, state: State, photograph: np.ndarray) -> Answer:
        o = self.options
        paint = functools.partial(self._compiled, state.params, state.extra)
        small, made = _painted(paint, photograph, o.longest)
        mixed = o.strength * made + (1 - o.strength) * (small.astype(np.float32) / 255)
        return _answered(mixed, self.style, o.strength)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        return jax.jit(lambda p, e, x: self.painter.on(p, e, x))


@dataclasses.dataclass(frozen=True)
class AnyStylePredictor:
    """Paints a user's photographs in the style of a user's picture, at their own size by default.

    Attributes:
        network: paints photographs in the style of another picture.
        size: pixels to which the longer side of the style's picture is reduced.
        options: flags of `dlcore predict`; their `style` is required.
    """

    network: AnyStyle
    size: int
    options: AnyStyleOptions = dataclasses.field(default_factory=AnyStyleOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads image files, each uint8 [height, width, 3] at its own size; text is ignored.

        Raises:
            UsageError: a file is not an image.
        """
        return [_read(file) for file in files]

    def item(self, value: object) -> np.ndarray:
        """Converts an RGB image of Pillow to uint8 [height, width, 3], see `photograph_of`."""
        return photograph_of(value)

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers photographs one by one; a program is compiled for each size.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"style", "strength", "width", "height"}, an `Images` of one picture) of each; "style"
            is the name of the style's file, "width" and "height" are those of the picture, after
            the reduction to `options.longest` if any.

        Raises:
            UsageError: `options.style` is empty, or its file is no picture.
        """
        return each_once(functools.partial(self._answer, state), items)

    def _answer(self, state: State, photograph: np.ndarray) -> Answer:
        o, style = self.options, self._style

        def paint(pixels: np.ndarray) -> Array:
            return self._compiled(state.params, state.extra, pixels, style, np.float32(o.strength))

        return _answered(_painted(paint, photograph, o.longest)[1], Path(o.style).name, o.strength)

    @functools.cached_property
    def _style(self) -> np.ndarray:
        """The style's picture, float32 [1, h, w, 3] in [0, 1]."""
        if not self.options.style:
            raise UsageError("this network takes any style: name a picture that has it by --style")
        picture = _read(Path(self.options.style))
        return padded(shrunk(picture, self.size))[None].astype(np.float32) / 255

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        return jax.jit(self.network.paint)
