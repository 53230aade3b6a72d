"""Images with boxes: prepared sets, synthetic scenes, and a user's COCO or YOLO files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcore.data import cache, tfds
from dlcore.data.facts import Facts
from dlcore.data.own import annotated, box_summary
from dlcore.data.own.annotated import Annotated, Picture
from dlcore.data.own.found import SPLITS, VERSION
from dlcore.data.records import decode, open_records
from dlcore.data.sets import scenes
from dlcore.data.source import Arrays, Batch, Partnered, Source
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

_FORMAT = 2  # counts up when the same files become other arrays than before
_CHUNK = 64  # images that are decoded before they are written
_PRIMES = (7919, 104_729)  # which further examples a mosaic has


def load(
    name: str, source: DataSource, canvas: tuple[int, int], max_boxes: int, scene_objects: int = 6
) -> Splits:
    """Loads images with boxes as splits.

    Images of all sizes are scaled onto one canvas, into its upper left corner, with their aspect
    ratio kept. The fields of an example:
        image   uint8 [height, width, 3], the canvas
        boxes   float32 [max_boxes, 4]: left, top, right, bottom in pixels of the canvas; zeros
                after the first `count`
        label   int32 [max_boxes], classes
        count   int32, number of boxes
        scale   float32, pixels of the canvas per pixel of the image
        extent  float32 [2], width and height of the image on the canvas

    Args:
        name: of a prepared set with `image` and `objects` (`bbox` and `label`), such as bccd; or
            digit_scenes, which `dlcore.data.sets.scenes` draws for "published" too. A path and
            "offline" do not use it.
        source: "published"; "offline", scenes of digits; or a path to a user's files
            (`dlcore.data.own.coco`, `dlcore.data.own.yolo`).
        canvas: width and height in pixels.
        max_boxes: boxes to which an example is padded; of scenes at least `scene_objects`.
        scene_objects: of scenes: largest number of digits.

    Returns:
        Splits; `facts` has `classes`, `canvas`, and `left_out`: {split: number of boxes without
        area} of a published set, {"crowds": number of boxes} of COCO files with crowds; these boxes
        are in no example. Of own data also `by_hash`, the splits that were cut.

    Raises:
        UsageError: the set is not prepared, an image has more boxes than `max_boxes`, or faults in
            a user's files, with file and line or id.
    """
    if isinstance(source, Path):
        return _own(source, canvas, max_boxes)
    if is_offline(name, source) or name == "digit_scenes":
        padded = max(max_boxes, scene_objects)
        made = {s: scenes.digit_scenes(s, canvas, scene_objects, padded) for s in SPLITS}
        return Splits.of(made, facts=_facts([str(digit) for digit in range(10)], canvas, {}))
    classes = tfds.class_names(name, "objects/label")
    found, left_out = {}, {}
    for split in SPLITS:
        full = _prepared(name, split, canvas, max_boxes)
        left_out[split] = int(np.asarray(full.arrays["left_out"]).sum())
        found[split] = _without(full, "left_out")
    return Splits.of(found, facts=_facts(classes, canvas, left_out))


@dataclasses.dataclass(frozen=True, eq=False)
class Quadrupled(Partnered):
    """Examples with three others, `partner_<field>` [rows, 3, ...], for mosaics.

    The first of the three is the example of the next row of the global batch, as in `Partnered`;
    the two others are any of the source, determined by the indices of the example and of the first.
    They are the same for any number of processes, devices and microbatches.
    """

    def with_paired_examples(self, index: np.ndarray, paired: np.ndarray) -> Batch:
        """Returns examples with three others each.

        Args:
            index: the examples, int [rows].
            paired: the first other of each, int [rows]; it and `index` determine the two others.

        Returns:
            {field: [rows, ...]}, and `partner_<field>` [rows, 3, ...] of each field.
        """
        examples, others = len(self.source), [np.asarray(paired, np.int64)]
        for prime in _PRIMES:
            others.append((np.asarray(index, np.int64) * prime + others[0] * 31 + 1) % examples)
        gathered = [self.source.gather(each) for each in others]
        paired_fields = {
            f"partner_{name}": np.stack([each[name] for each in gathered], 1)
            for name in gathered[0]
        }
        return {**self.source.gather(index), **paired_fields}


def with_mosaics(splits: Splits) -> Splits:
    """Returns splits whose training examples have three others each, see `Quadrupled`.

    Args:
        splits: of `load`; the other splits are unchanged.
    """
    return dataclasses.replace(splits, train=Quadrupled(splits.train))


def _facts(classes: Sequence[str], canvas: tuple[int, int], left_out: Mapping[str, int]) -> Facts:
    return Facts(classes=list(classes), canvas=list(canvas), left_out=dict(left_out))


def _without(source: Arrays, field: str) -> Arrays:
    return Arrays({k: array for k, array in source.arrays.items() if k != field}, source.info)


def _prepared(name: str, split: str, canvas: tuple[int, int], most: int) -> Arrays:
    """A split of a prepared set, decoded once into the cache, with `left_out` int32 [examples]."""
    prepared = tfds.find(name)
    records = sorted(prepared.folder.glob(f"*-{split}.array_record-*"))
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in records]
    key = _digest(stats, list(canvas), most)

    def rows() -> cache.Rows:
        opened, _ = open_records(prepared, split)

        def make(index: int) -> dict[str, np.ndarray]:
            record = decode(prepared, split, opened, range(index, index + 1))[0]
            return _of_record(record, f"{name}, {split}, record {index}", canvas, most)

        return len(opened), _chunks(len(opened), make)

    place = f"detection/{name}/{prepared.version}/{split}-{key}"
    return cache.cached(place, name, prepared.version, split, rows)


def _of_record(
    record: Mapping[str, Any], where: str, canvas: tuple[int, int], most: int
) -> dict[str, np.ndarray]:
    """The arrays of a record of TFDS, whose boxes are fractions: top, left, bottom, right."""
    boxes = np.asarray(record["objects"]["bbox"], np.float64).reshape(-1, 4)
    image = Image.fromarray(np.asarray(record["image"]))
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if there.sum() > most:
        raise UsageError(
            f"{where} has {there.sum()} boxes, more than --max-boxes {most}: give more"
        )
    pixels, scale = annotated.fitted(image, canvas)
    size = np.asarray([image.height, image.width] * 2)
    in_pixels = (boxes * size)[there][:, [1, 0, 3, 2]]
    label = np.asarray(record["objects"]["label"])[there]
    arrays = annotated.row(pixels, scale, image.size, in_pixels.tolist(), label.tolist(), most)
    return {**arrays, "left_out": np.asarray((~there).sum(), np.int32)}


def _own(path: Path, canvas: tuple[int, int], most: int) -> Splits:
    found = box_summary.read(path)
    found.refuse()
    found.divide()
    if not found.problems:
        found.check(most)
    found.refuse()
    made: dict[str, Source] = {}
    for split, pictures in found.splits.items():
        named = f"{split} by hash" if split in found.by_hash else split
        made[split] = _decoded(found, named, pictures, canvas, most)
    facts = _facts(found.classes, canvas, {"crowds": found.crowds} if found.crowds else {})
    return Splits.of(made, facts=facts.with_facts(by_hash=found.by_hash))


def _decoded(
    found: Annotated, split: str, pictures: list[Picture], canvas: tuple[int, int], most: int
) -> Arrays:
    """The images of a split, decoded once into the cache. All faults are reported together."""
    problems: list[str] = []

    def rows() -> cache.Rows:
        return len(pictures), checked()

    def checked() -> Iterator[Batch]:
        make = lambda i: annotated.example(pictures[i], canvas, most, problems)  # noqa: E731
        yield from _chunks(len(pictures), make)
        found.problems += problems
        found.refuse()

    key = annotated.key(pictures, _FORMAT, split, list(canvas), most)
    return cache.cached(f"own/{key}/boxes", found.path.resolve().name, VERSION, split, rows)


def _chunks(count: int, make: Callable[[int], dict[str, np.ndarray]]) -> Iterator[Batch]:
    """Stacks of the examples `make(0)` to `make(count - 1)`."""
    for start in range(0, count, _CHUNK):
        rows = [make(i) for i in range(start, min(start + _CHUNK, count))]
        yield {name: np.stack([each[name] for each in rows]) for name in rows[0]}


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([_FORMAT, *parts]).encode()).hexdigest()[:16]
