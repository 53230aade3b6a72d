"""User images: a folder per class, or tables of paths and labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import ExifTags, Image, ImageMode, ImageOps

from dlcore.data import cache
from dlcore.data.facts import Facts
from dlcore.data.own import files, table_files
from dlcore.data.own.found import VERSION, Example, Found
from dlcore.data.own.image_sizes import warn_of_size
from dlcore.data.source import Arrays, Batch, Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

_ENDINGS = ("png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff", "ppm", "pgm")
SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS)
COLUMNS = ("path", "label")
_FORMAT = 1  # counts up when the same files become other arrays than before
_CHUNK = 64  # images that are decoded before they are written


def find(path: Path) -> Found:
    """Finds the images of a path: examples with `values` (file, label), and faults as `problems`.

    Args:
        path: a folder with a subfolder per class, or with folders train, validation and test of
            such subfolders; or a .csv, .tsv or .jsonl file with the columns `path` (relative to the
            file) and `label`, and optionally `split`.
    """
    if path.is_file():
        return _listed(path)
    found = Found(path)
    if not path.exists():
        found.problems.append(f"{path}: there is no such file or folder")
        return found
    folders = [each for each in files.visible(path) if each.is_dir()]
    if not folders and any(
        each.suffix.lower() in table_files.TABLES for each in files.visible(path)
    ):
        return _listed(path)
    train = path / "train"
    if train.is_dir() and any(each.is_dir() for each in files.visible(train)):
        try:
            splits = files.split_folders(path)
        except UsageError as error:
            found.problems.append(str(error))
            return found
    else:
        splits = {"train": path}
    for split, folder in splits.items():
        found.splits[split] = _by_class(folder, found.problems)
    return found


def _by_class(folder: Path, problems: list[str]) -> list[Example]:
    """The images of a folder with a subfolder per class; other files beside these are ignored."""
    examples = []
    classes = [each for each in files.visible(folder) if each.is_dir()]
    for file in files.visible(folder):
        if not file.is_dir() and file.suffix.lower() in SUFFIXES:
            problems.append(f"{file} lies in no class: move it into the folder of its class")
    if not classes:
        problems.append(f"{folder} holds no folders: give it one for each class, of its images")
    for each in classes:
        inside = files.visible(each)
        if not inside:
            problems.append(f"{each}, a class, is empty: put images in, or remove the folder")
        for file in inside:
            if file.is_dir():
                problems.append(f"{file} is a folder in a class: move its images into {each}")
            elif file.suffix.lower() not in SUFFIXES:
                problems.append(
                    f"{file} is no image ({', '.join(SUFFIXES)}): move it out of the class"
                )
            else:
                examples.append(Example(str(file), (str(file), each.name)))
    return examples


def _listed(path: Path) -> Found:
    found = Found(path)
    try:
        found = table_files.of_tables(path, COLUMNS)
    except UsageError as error:
        found.problems.append(str(error))
    for split, examples in found.splits.items():
        kept = []
        for example in examples:
            name, label = example.values
            file = Path(example.where.rpartition(", line ")[0]).parent / name
            if file.is_file():
                kept.append(Example(f"{example.where} ({name})", (str(file), label)))
            else:
                found.problems.append(f"{example.where}: there is no file {file}: mend its path")
        found.splits[split] = kept
    return found


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
    """
    height, width, channels = shape if len(shape) == 3 else (*shape, 1)
    converted = image.convert("L" if channels == 1 else "RGB")
    resized = converted.resize((width, height), resampling)
    return np.asarray(resized, np.uint8).reshape(tuple(shape))


def of_value(
    value: np.ndarray | Image.Image,
    shape: tuple[int, ...],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[np.ndarray, "*shape"]:
    """Converts an image of Pillow, or an array, to uint8 of a shape.

    Args:
        value: an image of Pillow, which is resized; or uint8 of the shape, where a grey image may
            lack the axis of its channel.
        shape: [height, width, channels].
        resampling: the filter of `resized`.

    Raises:
        UsageError: an array of another shape or dtype.
    """
    if isinstance(value, Image.Image):
        return resized(value, shape, resampling)
    array = np.asarray(value)
    if array.shape == shape[:2] and shape[2:] == (1,):
        array = array[..., None]
    if array.shape != shape or array.dtype != np.uint8:
        raise UsageError(
            f"an image here is uint8 {shape}, not {array.dtype} {array.shape}: resize it, or give"
            " Pillow's image or a file"
        )
    return array


def upright(file: Path) -> Image.Image:
    """Decodes the first frame of an image file to 8 bits per channel, rotated as its EXIF data say.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with Image.open(file) as opened:
            return _of_8_bits(ImageOps.exif_transpose(opened))
    # decoders raise anything: OSError, SyntaxError, struct.error, DecompressionBombError
    except Exception as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UsageError(
            f"{file} cannot be read as an image ({what.replace(f' {str(file)!r}', '')}): mend or"
            " remove it"
        ) from error


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Keeps the upper 8 of 16 bits; `convert` would map all levels above 255 to white."""
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() >= 1 << 16:
        raise ValueError(f"its pixels are {image.mode}, of more than 16 bits")
    return Image.fromarray((levels >> 8).astype(np.uint8))


@dataclass(frozen=True)
class Size:
    """Determines the size to which a user's images are resized from the sizes of the files.

    Height and width are the medians of the files', which are reduced to at most `longest`, their
    ratio kept, and rounded down to multiples of `multiple`, at least one. Images are grey if all
    files are.

    Attributes:
        multiple: height and width must be divisible by it.
        longest: largest height and width in pixels.
    """

    multiple: int = 1
    longest: int = 96

    def of(self, sizes: Integer[np.ndarray, "n 3"]) -> tuple[int, int, int]:
        """Computes [height, width, channels] from those of the files [n, 3]."""
        median = np.median(sizes[:, :2], 0)
        reduced = median * min(1.0, self.longest / median.max())
        height, width = (max(int(side) // self.multiple, 1) * self.multiple for side in reduced)
        return height, width, int(sizes[:, 2].max())


def load(path: Path, shape: Sequence[int] | Size) -> Splits:
    """Loads a user's images as splits, decoded once into the cache.

    Args:
        path: see `find`. Missing splits are cut from train by the hash of the files' contents.
        shape: [height, width, channels] to which images are resized; or `Size`, which determines it
            from the files of the training split.

    Returns:
        Splits of `image` uint8 [*shape] and `label` int32. `facts` has `classes`; `by_hash`, the
        splits that were cut; and `original_sizes`, {"smallest", "largest"}: [height, width], each
        by itself.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path)
    found.refuse()
    found.divide(lambda train: digests([Path(example.values[0]) for example in train]))
    names = found.classes()
    found.refuse()
    if isinstance(shape, Size):
        shape = shape.of(stored_sizes([Path(each.values[0]) for each in found.splits["train"]]))
    sizes, made = [], {}
    for split, examples in found.splits.items():
        arrays = decoded(path.resolve().name, found.named(split), examples, names, shape)
        sizes.append(np.asarray(arrays.arrays["size"]))
        contents = {name: arrays.arrays[name] for name in ("image", "label")}
        made[split] = Arrays(contents, arrays.info)
    every = np.concatenate(sizes)
    warn_of_size(path, every, shape)
    originals = {"smallest": every.min(0).tolist(), "largest": every.max(0).tolist()}
    facts = Facts(classes=names, by_hash=found.by_hash, original_sizes=originals)
    sources: dict[str, Source] = dict(made)
    return Splits.of(sources, facts=facts)


def digests(paths: Sequence[Path]) -> list[str]:
    """Returns the SHA-256 of the contents of each file; cached for files that have not changed."""
    if not paths:
        return []

    def hashed() -> cache.Rows:
        each = (hashlib.sha256(file.read_bytes()).digest() for file in paths)
        return len(paths), ({"digest": np.frombuffer(row, np.uint8)[None]} for row in each)

    found = cache.cached(f"own/{_key(paths)}/digests", "digests", VERSION, "train", hashed)
    return [bytes(row).hex() for row in np.asarray(found.arrays["digest"])]


def stored_sizes(paths: Sequence[Path]) -> Integer[np.ndarray, "n 3"]:
    """Returns height, width and channels (1: grey, or 3) of each file [n, 3]; cached as `digests`.

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
        `image` uint8 [images, *shape]; `label` int32 [images]; and `size` int32 [images, 2], height
        and width of the file.

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
        part = [upright(file) for file in paths[start : start + _CHUNK]]
        yield {
            "image": np.stack([resized(image, shape) for image in part]),
            "label": np.array(label[start : start + _CHUNK], np.int32),
            "size": np.array([image.size[::-1] for image in part], np.int32),
        }


def _key(paths: Sequence[Path], *more: object) -> str:
    """The name of the cache entry: a hash of paths, sizes and modification times of all files."""
    stats = [(path.resolve(), path.stat()) for path in paths]
    listed = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    return hashlib.sha256(json.dumps([_FORMAT, listed, more]).encode()).hexdigest()[:32]
