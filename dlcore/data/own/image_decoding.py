"""One image: decoded from its file, turned upright, resized and converted to uint8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from dlcore.errors import UsageError

ImageLike = str | Path | np.ndarray | Image.Image
_MIN_LARGEST = 1 << 12  # 16-bit images with a smaller maximum keep 16 levels or fewer in 8 bits


def read(
    file: Path, shape: Sequence[int], resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> UInt8[np.ndarray, "*shape"]:
    """Reads an image file as uint8 of a shape.

    The first frame is rotated as its EXIF data say, transparency is dropped, and the image is
    resized to the height and width, whatever its aspect ratio.

    Args:
        file: the image.
        shape: [height, width, 3] (RGB), [height, width, 1] or [height, width] (grey).
        resampling: the filter of `resized`.

    Raises:
        UsageError: it cannot be read.
    """
    return resized(upright(file), shape, resampling)


def resized(
    image: Image.Image,
    shape: Sequence[int],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[np.ndarray, "*shape"]:
    """Resizes and converts an image of Pillow to uint8 of a shape; transparency is dropped.

    Args:
        image: the image.
        shape: [height, width, 3] (RGB), [height, width, 1] or [height, width] (grey).
        resampling: Pillow's filter; images that a network is given are to be resized by the filter
            by which its training images were.

    Raises:
        UsageError: see `of_8_bits`.
    """
    height, width, channels = shape if len(shape) == 3 else (*shape, 1)
    converted = of_8_bits(image).convert("L" if channels == 1 else "RGB")
    resized = converted.resize((width, height), resampling)
    return np.asarray(resized, np.uint8).reshape(tuple(shape))


def of_value(
    value: np.ndarray | Image.Image,
    shape: tuple[int, ...],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[np.ndarray, "*shape"]:
    """Converts an image of Pillow, or an array, to uint8 of a shape.

    Args:
        value: an image of Pillow, which is rotated as its EXIF data say, and resized; or uint8 of
            the shape, where a grey image may lack the axis of its channel.
        shape: [height, width, channels].
        resampling: the filter of `resized`.

    Raises:
        UsageError: an array of another shape or dtype; or see `of_8_bits`.
    """
    if isinstance(value, Image.Image):
        return resized(ImageOps.exif_transpose(value), shape, resampling)
    array = np.asarray(value)
    if array.shape == shape[:2] and shape[2:] == (1,):
        array = array[..., None]
    if array.shape != shape or array.dtype != np.uint8:
        raise UsageError(
            f"an image here is uint8 {shape}, not {array.dtype} {array.shape}: resize it, or give"
            " Pillow's image or a file"
        )
    return array


def of_any(
    value: ImageLike,
    shape: tuple[int, ...],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[np.ndarray, "*shape"]:
    """Converts the path of an image, or what `of_value` takes, to uint8 of a shape.

    Args:
        value: a path, which `read` reads, or a value of `of_value`.
        shape: [height, width, channels].
        resampling: the filter of `resized`.

    Raises:
        UsageError: as `read` and `of_value`; or another type.
    """
    if isinstance(value, str | Path):
        return read(Path(value), shape, resampling)
    if not isinstance(value, np.ndarray | Image.Image):
        raise UsageError(f"a {type(value).__name__} is no image: give a path, an array or Pillow's")
    return of_value(value, shape, resampling)


def upright(file: Path) -> Image.Image:
    """Decodes the first frame of an image file to 8 bits per channel, rotated as its EXIF data say.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with Image.open(file) as opened:
            return of_pillow(opened)
    # decoders raise anything: OSError, SyntaxError, struct.error, DecompressionBombError
    except Exception as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UsageError(
            f"{file} cannot be read as an image ({what.replace(f' {str(file)!r}', '')}): mend or"
            " remove it"
        ) from error


def of_pillow(image: Image.Image) -> Image.Image:
    """Converts an opened image to 8 bits per channel (`of_8_bits`), rotated as its EXIF data say.

    Raises:
        UsageError: as `of_8_bits`.
    """
    return of_8_bits(ImageOps.exif_transpose(image))


def of_8_bits(image: Image.Image, dark: bool = False) -> Image.Image:
    """Keeps the upper 8 bits of an image of 16; `convert` would map all levels above 255 to white.

    Levels up to 255 stay as they are, unless the mode of the image is one of 16 bits ("I;16").

    Args:
        image: of any mode.
        dark: whether all levels of 16 bits may be below 4096, as in a frame of an animation.

    Raises:
        UsageError: levels below 0, of more than 16 bits, or that are no integers; or, unless
            `dark`, of 16 bits with a largest level below 4096 (0 alone excepted), few of which 8
            bits would keep.
    """
    if image.mode == "LAB":  # which Pillow converts to RGB alone
        return image.convert("RGB")
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    if not ((levels >= 0) & (levels < 1 << 16) & (levels == np.floor(levels))).all():
        raise UsageError(
            f"its pixels, of mode {image.mode}, are not integers of at most 16 bits: save it with 8"
        )
    largest = int(levels.max(initial=0))
    deep = image.mode.startswith("I;16") or largest > 255
    # scaling this image alone would make it brighter than the rest of the set
    if deep and not dark and 0 < largest < _MIN_LARGEST:
        raise UsageError(
            f"its largest value of 16 bits is {largest}, and 8 bits would keep"
            f" {(largest >> 8) + 1} levels: multiply the values of the whole set by one factor, by"
            " 16 where they have 12 bits; or save it with 8 bits, or leave it out"
        )
    return Image.fromarray((levels.astype(np.int32) >> (8 if deep else 0)).astype(np.uint8))
