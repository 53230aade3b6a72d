"""What the cache keeps of image files: digests, sizes and decoded images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from PIL import ExifTags, Image, ImageMode

from dlcore.data import cache
from dlcore.data.own.found import VERSION, Example
from dlcore.data.own.image_decoding import resized, upright
from dlcore.data.source import Arrays, Batch

_FORMAT = 2  # counts up when the same files become other arrays than before
_CHUNK = 64  # images that are decoded before they are written


def digests(paths: Sequence[Path]) -> list[str]:
    """Returns the SHA-256 of the contents of each file, as 64 hexadecimal digits.

    The result is cached for the list of files; it is computed anew if the list, or the size or time
    of change of a file, is another one.
    """
    if not paths:
        return []

    def hashed() -> cache.Rows:
        each = (hashlib.sha256(file.read_bytes()).digest() for file in paths)
        return len(paths), ({"digest": np.frombuffer(row, np.uint8)[None]} for row in each)

    found = cache.cached(f"own/{_key(paths)}/digests", "digests", VERSION, "train", hashed)
    return [bytes(row).hex() for row in np.asarray(found.arrays["digest"])]


def stored_sizes(paths: Sequence[Path]) -> Integer[np.ndarray, "n 3"]:
    """Returns height, width and channels of each file, int32 [n, 3]; cached as `digests`.

    Height and width are those after the rotation of the EXIF data; channels are 1 (grey) or 3.

    Raises:
        UsageError: a file that cannot be read as an image.
    """

    def measured() -> cache.Rows:
        return len(paths), ({"size": np.array([_measured(file)], np.int32)} for file in paths)

    found = cache.cached(f"own/{_key(paths)}/sizes", "sizes", VERSION, "train", measured)
    return np.asarray(found.arrays["size"])


def _measured(file: Path) -> tuple[int, int, int]:
    """From the file's header where it needs no palette."""
    try:
        with Image.open(file) as opened:
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) > 4
            width, height = opened.size[::-1] if turned else opened.size
            mode = ImageMode.getmode(opened.mode).basemode if opened.mode != "P" else None
            colours = opened.convert("RGB").split() if mode is None else ()
    except Exception:
        upright(file)  # says what is wrong with it
        raise
    grey = mode == "L" if mode else colours[0] == colours[1] == colours[2]
    return height, width, 1 if grey else 3


def decoded(
    name: str, split: str, examples: Sequence[Example], names: Sequence[str], shape: Sequence[int]
) -> Arrays:
    """Decodes images once into the cache.

    Args:
        name, split: of the source.
        examples: with a file as first value and a label as last.
        names: of the classes, which are numbered in this order.
        shape: [height, width, channels]; images of other sizes are resized.

    Returns:
        A source, memory-mapped, with `image` uint8 [images, *shape], `label` int32 [images], and
        `size` int32 [images, 2]: height and width before resizing.

    Raises:
        UsageError: a file that cannot be read as an image.
    """
    number = {label: i for i, label in enumerate(names)}
    label = [number[example.values[-1]] for example in examples]
    paths = [Path(example.values[0]) for example in examples]

    def rows() -> cache.Rows:
        return len(paths), _chunks(paths, label, shape)

    key = _key(paths, name, split, label, list(shape))
    return cache.cached(f"own/{key}/images", name, VERSION, split, rows)


def _chunks(paths: Sequence[Path], label: Sequence[int], shape: Sequence[int]) -> Iterator[Batch]:
    """Chunks of `image`, `label` and the file's `size`, int32 [height, width]."""
    for start in range(0, len(paths), _CHUNK):
        part, sizes = [], []
        for file in paths[start : start + _CHUNK]:
            image = upright(file)  # one at a time is in memory at its full size
            part.append(resized(image, shape))
            sizes.append(image.size[::-1])
        yield {
            "image": np.stack(part),
            "label": np.array(label[start : start + _CHUNK], np.int32),
            "size": np.array(sizes, np.int32),
        }


def _key(paths: Sequence[Path], *more: object) -> str:
    """The name of the cache entry: a hash of paths, sizes and modification times of all files."""
    stats = [(path.resolve(), path.stat()) for path in paths]
    listed = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    return hashlib.sha256(json.dumps([_FORMAT, listed, more]).encode()).hexdigest()[:32]
