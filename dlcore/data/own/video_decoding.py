"""One video: its files, how many frames it has, and the decoded frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from dlcore.data.own import files, image_decoding, images
from dlcore.errors import UsageError

ANIMATED = (".gif", ".webp", ".apng", ".tif", ".tiff")


def frame_files(folder: Path) -> list[Path]:
    """Returns the images in a folder by name, numbers in their names compared as numbers."""
    inside = [file for file in files.visible(folder) if file.suffix.lower() in images.SUFFIXES]
    return sorted(inside, key=lambda file: [_part(each) for each in re.split(r"(\d+)", file.name)])


def _part(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)


def read(file: Path, size: Sequence[int]) -> np.ndarray:
    """Decodes a video.

    Args:
        file: an animated image, or a folder of frames.
        size: [height, width] to which every frame is resized, its aspect ratio not kept.

    Returns:
        uint8 [frames, height, width, 3]; one image is a video of one frame.

    Raises:
        UsageError: a file cannot be read, or frames of one folder have different sizes.
    """
    return np.stack([image_decoding.resized(image, (*size, 3)) for image in frames(file)])


def frames(file: Path) -> list[Image.Image]:
    """Decodes a video at its own size.

    Args:
        file: an animated image, or a folder of frames.

    Returns:
        Its frames in order; those of an animated image in RGB, those of a folder in the mode of
        their files.

    Raises:
        UsageError: a file cannot be read, or frames of one folder have different sizes.
    """
    if file.is_dir():
        decoded = [(each, image_decoding.upright(each)) for each in frame_files(file)]
        for each, image in decoded:
            if image.size != decoded[0][1].size:
                sizes = [f"{w}x{h}" for w, h in (image.size, decoded[0][1].size)]
                raise UsageError(
                    f"{each} is {sizes[0]} and {decoded[0][0].name} is {sizes[1]}: the frames of a"
                    " video must have one size"
                )
        return [image for _, image in decoded]
    try:
        with Image.open(file) as opened:
            return [
                image_decoding.of_8_bits(frame, dark=True).convert("RGB")
                for frame in ImageSequence.Iterator(opened)
            ]
    except Exception as error:  # decoders raise anything
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UsageError(f"{file} cannot be read as a video ({what}): mend or remove it") from error


def is_animation(file: Path) -> bool:
    """Returns whether a file is named as an animated image and has several frames.

    The names are those of `ANIMATED`: an animated .png is none, a .tif of several pages is one.
    False if the file cannot be read.
    """
    if file.suffix.lower() not in ANIMATED:
        return False
    try:
        return count(file) > 1
    except UsageError:
        return False


def count(path: Path) -> int:
    """Returns the number of frames of a video: an animated image, or a folder of frames.

    Raises:
        UsageError: it cannot be read.
    """
    if path.is_dir():
        return len(frame_files(path))
    try:
        with Image.open(path) as opened:
            return int(getattr(opened, "n_frames", 1))
    except Exception as error:  # decoders raise anything
        raise UsageError(
            f"{path} cannot be read as a video ({error}): mend or remove it"
        ) from error


def video_files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files of videos: animated images, and of a folder its frames in order."""
    return [file for path in paths for file in (frame_files(path) if path.is_dir() else [path])]
