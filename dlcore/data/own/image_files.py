"""A user's images by class, read and augmented when a batch needs them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.mapped import Augment, Example, Prepare, mapped
from dlcore.data.own import image_cache, image_decoding, images
from dlcore.data.own.found import VERSION
from dlcore.data.own.found import Example as FoundExample
from dlcore.data.source import Source
from dlcore.data.splits import Splits


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with labels: `image` uint8 [height, width, channels] and `label` int32.

    Height and width are those of each file: images are not resized.

    Attributes:
        files: paths of the images.
        labels: class of each, int [files].
        channels: 3, or 1 for grey levels.
    """

    files: Sequence[str]
    labels: Sequence[int]
    channels: int = 3

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Example:
        """Decodes an image, rotated as its EXIF data say.

        Returns:
            `image` uint8 [height, width, channels], not resized, and `label`, an int32 scalar.

        Raises:
            UsageError: it cannot be decoded.
        """
        image = image_decoding.upright(Path(self.files[index]))
        image = image.convert("L" if self.channels == 1 else "RGB")
        pixels = np.asarray(image, np.uint8).reshape(image.height, image.width, self.channels)
        return {"image": pixels, "label": np.int32(self.labels[index])}

    def where(self, index: int) -> str:
        """Returns the path of the image."""
        return str(self.files[index])


def load(path: Path, augment: Augment, prepare: Prepare, channels: int = 3) -> Splits:
    """Loads a user's images as splits whose examples are decoded when a batch needs them.

    Args:
        path: see `images.find`. Missing splits are cut from train by the hash of the files'
            contents.
        augment: (example of `ImageFiles.read`, random generator) -> example of training batches,
            all of one shape.
        prepare: example of `ImageFiles.read` -> example of every other use, of the same shape.
        channels: 3, or 1 for grey levels.

    Returns:
        Splits of the fields that `augment` and `prepare` return. `facts` has `classes`, the sorted
        names that a label is an index of, and `by_hash`, the splits that were cut.

    Raises:
        UsageError: a fault in the files, or as `dlcore.data.mapped.mapped`. Of each split up to
            four images are decoded here; others that cannot be decoded raise it when a batch needs
            them.
    """
    found = images.find(path)
    found.refuse()
    found.divide(lambda train: image_cache.digests([Path(each.values[0]) for each in train]))
    names = found.classes()
    found.refuse()
    made: dict[str, Source] = {}
    for split, examples in found.splits.items():
        made[split] = mapped(
            path.resolve().name,
            VERSION,
            found.named(split),
            _items(examples, names, channels),
            augment if split == "train" else None,
            prepare,
            _contents(examples),
        )
    return Splits.of(made, facts=Facts(classes=names, by_hash=found.by_hash))


def _items(examples: Sequence[FoundExample], names: Sequence[str], channels: int) -> ImageFiles:
    number = {name: i for i, name in enumerate(names)}
    labels = [number[example.values[-1]] for example in examples]
    return ImageFiles([example.values[0] for example in examples], labels, channels)


def _contents(examples: Sequence[FoundExample]) -> str:
    """A hash of the contents of all files with their labels, in their order."""
    digests = image_cache.digests([Path(example.values[0]) for example in examples])
    labelled = [f"{d} {e.values[-1]}" for d, e in zip(digests, examples, strict=True)]
    return hashlib.sha256("\n".join(labelled).encode()).hexdigest()
