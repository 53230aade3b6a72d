"""Images with numbered instances, such as nuclei, and their pixels as inside or border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import masks as own
from dlcore.data.own.found import VERSION
from dlcore.data.own.image_decoding import resized
from dlcore.data.sets import synthetic_maps
from dlcore.data.source import Source, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

CLASSES = ("background", "inside", "border")
IGNORED = 255
NOTICE = (
    "Not for medical use. The network saw 100 images of one kind of microscopy; nobody has examined"
    " how it fails on others. It must not be used for diagnosis, to choose a treatment, or for"
    " counts that these depend on."
)
"""What a model of the published images may not be used for."""
OWN_NOTICE = (
    "Not for medical use. The network learned from a folder of one's own images, and nobody has"
    " examined how it fails. Before anyone relies on its counts or outlines, they need to be"
    " compared with those of people on independent images."
)
"""The same of a model of images of one's own."""
GENERATED_NOTICE = "The images are generated: the network can find drawn cells and nothing else."
_MANY = 16  # masks of more numbers need two of an area of 3 x 3 pixels
_OFFLINE = {"train": 80, "validation": 20, "test": 20}
_OFFLINE_SIDE = 64
Pairs = tuple[list[np.ndarray], list[np.ndarray]]  # images [h, w, 1] and instances [h, w]


def load(name: str, source: DataSource, training: int, tile: int) -> Splits:
    """Loads grey images and their instances as splits.

    Args:
        name: of a prepared set with the splits train and test, and features `image` and
            `instances`, whose sizes vary.
        source: "published"; "offline", generated cells; or a folder of a user's images and masks
            (`dlcore.data.own.masks`), where a mask has 0 for background and a number for each
            instance. In a mask of one number beside 0 every connected area is an instance.
        training: how many of the training images of a published set are for training, the others
            are for validation.
        tile: height and width of the squares that training images are cut into. They cover each
            image, and may overlap.

    Returns:
        In all splits `image` uint8 [height, width, 1] and `label_map` uint8 [height, width],
        indices of `CLASSES`. In train these are tiles; smaller images are continued by reflection,
        with labels. In the other splits all images are continued by reflection to the size of the
        largest of the split, with the label 255, which is ignored, outside the image; `instances`
        int32 [height, width] is 0 there, and `size` int32 [2] is height and width of the image
        itself. `facts` has `classes`, `class_pixels` of train, `brightest`, the largest mean of an
        image of train, and `notice`, what a model of these images may not be used for.

    Raises:
        UsageError: the set is not prepared, faults in a user's files such as smoothed masks, or no
            pixel of train is background or inside an instance.
    """
    if isinstance(source, Path):
        labelled = own.find(source)
        names = {s: (labelled.name, VERSION, labelled.found.named(s)) for s in _OFFLINE}
        pairs = {split: _of_files(labelled, split) for split in _OFFLINE}
        notice = OWN_NOTICE
    elif is_offline(name, source):
        names = {split: ("cells", "1", split) for split in _OFFLINE}
        pairs = {
            split: synthetic_maps.cells(count, _OFFLINE_SIDE, seed)
            for seed, (split, count) in enumerate(_OFFLINE.items())
        }
        notice = GENERATED_NOTICE
    else:
        version = tfds.version(name)
        parts = {
            "train": f"train[:{training}]",
            "validation": f"train[{training}:]",
            "test": "test",
        }
        names = {split: (name, version, part) for split, part in parts.items()}
        pairs = {split: _of_columns(name, part) for split, part in parts.items()}
        notice = NOTICE
    contents = {
        split: _tiles(pairs[split], tile) if split == "train" else _padded(pairs[split])
        for split in pairs
    }
    pixels = np.bincount(contents["train"]["label_map"].ravel(), minlength=len(CLASSES))
    if missing := [CLASSES[i] for i in (0, 1) if not pixels[i]]:
        raise UsageError(
            f"{names['train'][0]}: no pixel of train is {missing[0]}: a mask has 0 for background"
            " and a number from 1 on for each instance"
        )
    brightest = max(float(image.mean()) for image in pairs["train"][0])
    facts = Facts(
        classes=CLASSES,
        brightest=brightest,
        class_pixels=pixels[: len(CLASSES)].tolist(),
        notice=notice,
    )
    sources: dict[str, Source] = {s: arrays(*names[s], each) for s, each in contents.items()}
    return Splits.of(sources, facts=facts)


def classes_of(instances: np.ndarray) -> np.ndarray:
    """Marks the pixels inside instances and at their borders.

    Args:
        instances: by number, integers [height, width]; 0 is background.

    Returns:
        Indices of `CLASSES`, uint8 [height, width]: 0 for background; 2 for a pixel of an instance
        if at least one of its up to eight neighbours in the image is not of the same instance; 1
        for the other pixels of an instance.
    """
    height, width = instances.shape
    padded = np.pad(instances, 1, mode="edge")
    border = np.zeros(instances.shape, bool)
    for down in range(3):
        for right in range(3):
            border |= padded[down : down + height, right : right + width] != instances
    return np.where(instances == 0, 0, np.where(border, 2, 1)).astype(np.uint8)


def reflected(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Continues an image by its reflection at the bottom and at the right.

    Args:
        image: [h, w, ...].
        height, width: smallest size of the result.

    Returns:
        [max(h, height), max(w, width), ...].
    """
    missing = ((0, max(0, height - image.shape[0])), (0, max(0, width - image.shape[1])))
    return np.pad(image, (*missing, *((0, 0),) * (image.ndim - 2)), mode="symmetric")


def _tiles(pairs: Pairs, side: int) -> Mapping[str, np.ndarray]:
    """Squares that cover each image; where one is smaller, it is continued by reflection."""
    images, maps = [], []
    for image, instances in zip(*pairs, strict=True):
        labels = reflected(classes_of(instances), side, side)
        pixels = reflected(image, side, side)
        for top in _starts(pixels.shape[0], side):
            for left in _starts(pixels.shape[1], side):
                images.append(pixels[top : top + side, left : left + side])
                maps.append(labels[top : top + side, left : left + side])
    return {"image": np.stack(images), "label_map": np.stack(maps)}


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin so that they cover a length with as little overlap as possible."""
    count = -(-length // side)
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def _padded(pairs: Pairs) -> Mapping[str, np.ndarray]:
    height, width = (max(image.shape[axis] for image in pairs[0]) for axis in (0, 1))
    rows: dict[str, list[np.ndarray]] = {}
    for image, instances in zip(*pairs, strict=True):
        labels = np.full((height, width), IGNORED, np.uint8)
        labels[: image.shape[0], : image.shape[1]] = classes_of(instances)
        numbers = np.zeros((height, width), np.int32)
        numbers[: image.shape[0], : image.shape[1]] = instances
        row = {
            "image": reflected(image, height, width),
            "label_map": labels,
            "instances": numbers,
            "size": np.array(image.shape[:2], np.int32),
        }
        for field, value in row.items():
            rows.setdefault(field, []).append(value)
    return {field: np.stack(values) for field, values in rows.items()}


def _of_columns(name: str, split: str) -> Pairs:
    found = tfds.columns(name, split, ["image", "instances"])
    # fluorescence: red, green and blue are the same
    images = [np.asarray(image)[..., :1] for image in found["image"]]
    return images, [np.asarray(each).astype(np.int32) for each in found["instances"]]


def _of_files(labelled: own.Labelled, split: str) -> Pairs:
    images: list[np.ndarray] = []
    instances: list[np.ndarray] = []
    for image, mask in labelled.pairs(split):
        picture, numbers = own.read(image, mask)
        images.append(resized(picture, (*picture.size[::-1], 1)))
        _refuse_smooth(mask, numbers)
        instances.append(_numbered(numbers))
    return images, instances


def _refuse_smooth(mask: Path, numbers: np.ndarray) -> None:
    """Refuses a mask of black and white whose edges were smoothed, as one instance a grey level."""
    count = len(np.unique(numbers[numbers > 0]))
    if count > _MANY and len(np.unique(numbers[classes_of(numbers) == 1])) == 1:
        raise UsageError(
            f"{mask} has {count} numbers, and only one of them has an area of 3 x 3 pixels: its"
            " edges look antialiased; save it without smoothing or resizing"
        )


def _numbered(numbers: np.ndarray) -> np.ndarray:
    """Instances by number; a mask of one value beside 0 has one instance a connected area."""
    from scipy import ndimage

    if len(np.unique(numbers[numbers > 0])) > 1:
        return numbers
    connected: Sequence[np.ndarray] = ndimage.label(numbers > 0)
    return np.asarray(connected[0], np.int32)
