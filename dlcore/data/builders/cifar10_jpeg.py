"""CIFAR-10 (Krizhevsky 2009): training images after JPEG of quality 90, exact test images."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, manual_folder
from dlcore.errors import UsageError

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ROWS, COLUMNS, SIDE = 25, 40, 32  # a mosaic: 1,000 images, row by row
# Of each split: how its mosaics are stored, and the sha256 of all its files one after the other, in
# the order of their names.
SPLITS = {
    "train": ("jpg", "0d874b36a253937879792ade40d7b28ed52daacf472cbfb0db51f03242c00a00"),
    "test": ("webp", "0af9ce6f74c2b71e532a36d621d58e96315aa75409c39104da5099c884515add"),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [32, 32, 3] (RGB) and `label`, a ClassLabel of `CLASSES`.

    Splits: train (50,000 images, after JPEG) and test (10,000, exact). The images are stored as
    mosaics (`tiles`), made of github.com/cyizhuo/CIFAR-10-dataset; no licence is stated there. The
    mosaics and the lists of names (train_00.jpg to train_49.jpg, train_names.txt.xz, test_00.webp
    to test_09.webp, test_names.txt.xz) are not downloaded, but must be in the folder of
    --manual-dir, else UsageError. TFDS's own `cifar10` has the exact pixels of both splits.
    """

    name = "cifar10_jpeg"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put train_00.jpg to train_49.jpg, test_00.webp to test_09.webp and *_names.txt.xz there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(SIDE, SIDE, 3), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        folder = manual_folder(dl_manager)
        return {split: self._generate_examples(files(folder, split)) for split in SPLITS}

    def _generate_examples(self, paths: list[Path]) -> Examples:
        names = lzma.decompress(paths[-1].read_bytes()).decode().split()
        # a name is split/class/file
        for image, name in zip(images(paths[:-1]), names, strict=True):
            yield name, {"image": image, "label": name.split("/")[1]}


def files(folder: Path, split: str) -> list[Path]:
    """Finds the files of a split: its mosaics by name, and last the list of image names.

    Args:
        folder: where the files are.
        split: "train" or "test".

    Raises:
        UsageError: there are none, or their contents have another SHA-256 than in `SPLITS`.
    """
    kind, sha256 = SPLITS[split]
    found, digest = (
        sorted((*folder.glob(f"{split}_??.{kind}"), *folder.glob(f"{split}_names.txt.xz"))),
        hashlib.sha256(),
    )
    if not found:
        raise UsageError(
            f"{split}_00.{kind} and its like must be given: dlcore prepare cifar10_jpeg"
            " --manual-dir FOLDER_WITH_THEM"
        )
    for file in found:
        digest.update(file.read_bytes())
    if digest.hexdigest() != sha256:
        raise UsageError(
            f"the {len(found)} files {found[0].name} to {found[-1].name} in {folder} are not those"
            " that the set is made of: the sha256 of all of them in this order is"
            f" {digest.hexdigest()}, and not {sha256}"
        )
    return found


def images(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Yields the images of mosaics, uint8 [32, 32, 3], in their order."""
    for path in paths:
        with Image.open(path) as mosaic:
            yield from tiles(np.asarray(mosaic.convert("RGB")))


def tiles(mosaic: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "n 32 32 3"]:
    """Cuts a mosaic [25 * 32, 40 * 32, 3] into its images [1000, 32, 32, 3], row by row."""
    cut = mosaic.reshape(ROWS, SIDE, COLUMNS, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return cut.reshape(ROWS * COLUMNS, SIDE, SIDE, 3)
