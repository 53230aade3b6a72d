"""Images with a class for each pixel, for semantic segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.data.own import masks as own
from dlcore.data.own.found import VERSION
from dlcore.data.sets import synthetic_maps
from dlcore.data.source import Source, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

SETS = ("camvid",)
SPLITS = ("train", "validation", "test")
_OFFLINE = {"train": 160, "validation": 30, "test": 30}
_OFFLINE_SIZE = (46, 60)  # of which no half is even twice


def load(name: str, source: DataSource, size: tuple[int, int]) -> Splits:
    """Loads images and label maps as splits.

    Args:
        name: camvid.
        source: "published"; "offline", generated scenes of shapes; or a folder of a user's images
            and masks (`dlcore.data.own.masks`).
        size: height and width to which a user's images, and their masks, are resized.

    Returns:
        Splits of `image` uint8 [height, width, 3] and `label_map` uint8. The maps of train have the
        image's size (`nearest`); those of the other splits have the size of the set, in which they
        are k times as high and wide as the image. A user's maps all have the image's size. A value
        that is no class is ignored.
        `facts` has `classes`, and `class_pixels`, how many pixels of train have each class, counted
        before maps are reduced to the image's size (a user's: after they are resized); of own data
        `by_hash`, the splits that were cut from train.

    Raises:
        UsageError: an unknown set, or one that is not prepared; or faults in a user's files.
    """
    if name not in SETS:
        raise UsageError(f"{name!r} is no set of label maps: choose {' or '.join(SETS)}")
    if isinstance(source, Path):
        return _of_files(own.find(source), size)
    if is_offline(name, source):
        splits = _synthetic()
        classes = list(synthetic_maps.SHAPES)
    else:
        from dlcore.data.builders.camvid import CLASSES

        splits = Splits.of({split: tfds.load(name, split) for split in SPLITS})
        classes = CLASSES
    pixels = np.bincount(splits.train.arrays["label_map"].ravel(), minlength=len(classes))
    facts = Facts(classes=classes, class_pixels=pixels[: len(classes)].tolist())
    splits = Splits.of(dict(splits.items()), facts=facts)
    return splits.map(
        train=lambda batch: {**batch, "label_map": nearest(batch["label_map"], batch["image"])}
    )


def nearest(label_map: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Takes the label of the pixel at the centre of each pixel of an image.

    If k is even, that is the lower right one of the four pixels at the centre.

    Args:
        label_map: [batch, k height, k width].
        image: [batch, height, width, c].

    Returns:
        [batch, height, width], dtype of `label_map`.
    """
    k = label_map.shape[1] // image.shape[1]
    return label_map[:, k // 2 :: k, k // 2 :: k]


def _synthetic() -> Splits:
    found = {}
    for seed, (split, count) in enumerate(_OFFLINE.items()):
        images, masks = synthetic_maps.shapes(count, *_OFFLINE_SIZE, seed)
        found[split] = arrays("shapes", "1", split, {"image": images, "label_map": masks})
    sources: dict[str, Source] = dict(found)
    return Splits.of(sources)


def _of_files(labelled: own.Labelled, size: tuple[int, int]) -> Splits:
    """Images and masks of one's own, resized: images bilinearly, masks to the nearest pixels."""
    contents, values = {}, {}
    for split in SPLITS:
        images, masks, distinct = [], [], []
        for image, mask in labelled.pairs(split):
            picture, numbers = own.read(image, mask)
            distinct.append(np.unique(numbers))
            images.append(image_decoding.resized(picture, (*size, 3)))
            masks.append(_resized(numbers, size))
        contents[split] = {"image": np.stack(images), "label_map": np.stack(masks)}
        values[split] = distinct
    classes = own.classes_of(labelled, values)
    pixels = np.bincount(contents["train"]["label_map"].ravel(), minlength=len(classes))
    facts = Facts(
        classes=classes,
        class_pixels=pixels[: len(classes)].tolist(),
        by_hash=labelled.found.by_hash,
    )
    sources: dict[str, Source] = {
        split: arrays(labelled.name, VERSION, labelled.found.named(split), each)
        for split, each in contents.items()
    }
    return Splits.of(sources, facts=facts)


def _resized(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask [height, width] as uint8 [*size]; the values that have no class become 255."""
    limited = np.where((numbers < 0) | (numbers > own.IGNORED), own.IGNORED, numbers)
    image = Image.fromarray(limited.astype(np.uint8))
    return np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))
