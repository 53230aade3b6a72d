"""The IDX files that MNIST and Fashion-MNIST are published as, and the features of both sets."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

SIDE = 28
_STEMS = {"train": "train", "test": "t10k"}


def files(place: str, sha256: dict[str, tuple[str, str]]) -> dict[str, tuple[File, File]]:
    """Returns the file of images and the file of labels of each split.

    Args:
        place: the URL of the folder that has them, with a slash at its end.
        sha256: {"train" or "test": SHA-256 of the compressed images and of the labels}.
    """
    found = {}
    for split, sums in sha256.items():
        names = [f"{_STEMS[split]}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        images, labels = (File(n, s, place + n) for n, s in zip(names, sums, strict=True))
        found[split] = images, labels
    return found


def info(
    builder: tfds.core.DatasetBuilder,
    description: str | None,
    label: tfds.features.ClassLabel,
    homepage: str,
) -> tfds.core.DatasetInfo:
    """Returns the description of a set with `image` uint8 [28, 28, 1] and `label`."""
    features = {"image": tfds.features.Image(shape=(SIDE, SIDE, 1)), "label": label}
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(features),
        supervised_keys=("image", "label"),
        homepage=homepage,
    )


def fetched(
    dl_manager: DownloadManager, splits: dict[str, tuple[File, File]]
) -> dict[str, tuple[Path, Path]]:
    """Returns the paths of the images and labels of each split, as `fetch` does of one file."""
    return {
        split: (fetch(dl_manager, images), fetch(dl_manager, labels))
        for split, (images, labels) in splits.items()
    }


def examples(images: Path, labels: Path) -> Examples:
    """Yields the features of `info`, with the number of the example as key, as TFDS has it.

    Args:
        images: a gzip file of IDX images, 28x28 bytes each after a header of 16 bytes.
        labels: a gzip file of IDX labels, a byte each after a header of 8 bytes.
    """
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    classes = gzip.decompress(labels.read_bytes())[8:]
    rows = zip(pixels.reshape(-1, SIDE, SIDE), classes, strict=True)
    for number, (image, label) in enumerate(rows):
        # encoded here: TFDS's Image feature would need TensorFlow for that
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        yield str(number), {"image": file.getvalue(), "label": label}
