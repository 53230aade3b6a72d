"""User pictures with captions: tables with the columns `path` and `caption`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data import cache
from dlcore.data.own import files, image_cache, image_decoding, table_files
from dlcore.data.own.found import VERSION, Example, Found
from dlcore.data.source import Arrays, Batch
from dlcore.errors import UsageError

COLUMNS = ("path", "caption")
_CHUNK = 64  # pictures that are decoded before they are written
_FORMAT = 3  # counts up when the same files become other arrays than before


def words(caption: str) -> list[str]:
    """Lower-cases a caption, and splits it into words and single punctuation marks.

    A word consists of letters, digits, _, -, ' and ’. Whitespace is dropped.
    """
    return re.findall(r"[\w’'-]+|[^\w\s]", caption.lower())


def find(path: Path) -> Found:
    """Finds the pictures of a path; the `values` of an example are (file, caption).

    Args:
        path: a .csv, .tsv or .jsonl file with the columns `path` (relative to the file) and
            `caption`, and optionally `split`; or a folder that holds one such file, or files named
            train, validation and test; files with one name, train.csv and train.tsv, are one split.

    Returns:
        The examples by split; faults of files and rows are in its `problems`.
    """
    found = Found(path)
    try:
        if path.is_dir():
            tables = [
                each for each in files.visible(path) if each.suffix.lower() in table_files.TABLES
            ]
            if len(tables) == 1:
                path = tables[0]
            elif not tables:
                raise UsageError(
                    f"{path} holds no table ({', '.join(table_files.TABLES)}): give one with the"
                    f" columns {' and '.join(COLUMNS)}"
                )
            elif others := [each for each in tables if each.stem.lower() not in files.SPLITS]:
                raise UsageError(
                    f"{path} holds {len(tables)} tables, one of them {others[0].name}: name the one"
                    " to read"
                )
            else:
                return _of_splits(found, tables)
        found = table_files.of_tables(path, COLUMNS)
    except UsageError as error:
        found.problems.append(str(error))
        return found
    for split, examples in found.splits.items():
        found.splits[split] = _existing(examples, found.problems)
    return found


def _of_splits(found: Found, tables: Sequence[Path]) -> Found:
    for table in tables:
        split = table.stem.lower()
        rows = table_files.rows(table, COLUMNS, ["split"], found.problems)
        pairs = [table_files.with_split(each, split, True, found.problems) for each in rows]
        examples = [pair[1] for pair in pairs if pair]
        found.splits.setdefault(split, []).extend(_existing(examples, found.problems))
    if "train" not in found.splits:
        raise UsageError(
            f"{found.path} has files for {', '.join(found.splits)}, but none for train: add one"
        )
    return found


def _existing(examples: Sequence[Example], problems: list[str]) -> list[Example]:
    kept = []
    for example in examples:
        name, caption = example.values
        file = Path(example.where.rpartition(", line ")[0]).parent / name
        if file.is_file():
            kept.append(Example(f"{example.where} ({name})", (str(file), caption)))
        else:
            problems.append(f"{example.where}: there is no file {file}: mend its path")
    return kept


@dataclasses.dataclass(frozen=True)
class OwnCaptions:
    """Decoded pictures of each split, and their captions.

    Attributes:
        images: {split: a source with `image` uint8 [n, size, size, 3]}.
        captions: {split: caption of each picture, as it is written}.
        by_hash: splits that were cut from train by the hash of the pictures.
    """

    images: dict[str, Arrays]
    captions: dict[str, tuple[str, ...]]
    by_hash: tuple[str, ...]


def load(path: Path, size: int) -> OwnCaptions:
    """Loads a user's pictures and captions, decoded once into the cache.

    Args:
        path: see `find`. Missing splits are cut from train by the hash of the pictures' contents.
        size: height and width to which each picture is resized, its aspect ratio not kept.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path)
    found.refuse()
    found.divide(lambda rows: image_cache.digests([Path(example.values[0]) for example in rows]))
    found.refuse()
    _warn_of_several(found)
    decoded = {
        split: _decoded(path.resolve().name, found.named(split), examples, size)
        for split, examples in found.splits.items()
    }
    captions = {
        split: tuple(example.values[1] for example in examples)
        for split, examples in found.splits.items()
    }
    return OwnCaptions(decoded, captions, found.by_hash)


def _warn_of_several(found: Found) -> None:
    """Warns of pictures of validation and test with several captions."""
    rows = [e.values[0] for split, each in found.splits.items() if split != "train" for e in each]
    if several := len(rows) - len({*rows}):
        warnings.warn(
            f"{found.path}: {several:,} of {len(rows):,} rows of validation and test are further"
            " captions of a picture: each row is compared with its own caption alone, so that BLEU"
            " and CIDEr are lower than those with all captions of a picture as references",
            stacklevel=3,
        )


def read(file: Path, size: int) -> np.ndarray:
    """Reads a picture as uint8 [size, size, 3], see `on_white`.

    Args:
        file: the picture.
        size: height and width in pixels.

    Raises:
        UsageError: it cannot be read.
    """
    return on_white(image_decoding.upright(file), size)


def on_white(image: Image.Image, size: int) -> np.ndarray:
    """Composites a picture over white where it is transparent, and resizes it.

    Returns:
        uint8 [size, size, 3]; the aspect ratio is not kept.
    """
    return image_decoding.resized(over_white(image), (size, size, 3))


def over_white(image: Image.Image) -> Image.Image:
    """Composites a picture over white where it is transparent.

    The emoji of `dlcore.data.builders.noto_emoji_captions` lie on white; what is below the
    transparent pixels of their files is black.

    Returns:
        A picture in mode RGBA, all opaque; `image` itself where it has no transparency.
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image


def _decoded(name: str, split: str, examples: Sequence[Example], size: int) -> Arrays:
    paths = [Path(example.values[0]) for example in examples]

    def chunks() -> Iterator[Batch]:
        for start in range(0, len(paths), _CHUNK):
            part = paths[start : start + _CHUNK]
            yield {"image": np.stack([read(file, size) for file in part])}

    stats = [(path.resolve(), path.stat()) for path in paths]
    listed = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    key = hashlib.sha256(json.dumps([_FORMAT, listed, name, split, size]).encode()).hexdigest()
    place = f"own/{key[:32]}/captions"
    return cache.cached(place, name, VERSION, split, lambda: (len(paths), chunks()))
