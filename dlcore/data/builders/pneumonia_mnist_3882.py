"""PneumoniaMNIST (Yang et al. 2023, from Kermany et al. 2018) with 3,882 of 4,708 training images.

Chest X-rays of children, 28x28 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

ARCHIVE = File(
    "pneumoniamnist.npz", "a554d2332488d3ddc075125e66a1af77ec379fd2bafc09108ab95a37e2bd9c26"
)
SPLITS = {"train": "train", "validation": "val", "test": "test"}  # TFDS's name: that in the file


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [28, 28, 1] (grey) and `label`, a ClassLabel.

    `label` is 0 (normal) or 1 (pneumonia). Splits: train (3,882 images), validation (524) and test
    (624). Validation and test have the official sizes; of train 826 images are missing. The file
    `ARCHIVE` is not downloaded, but must be in the folder of --manual-dir, else UsageError. From
    github.com/varun19424/pneumonia_mnist at 9361a718. Licence of MedMNIST: CC BY 4.0.
    """

    name = "pneumonia_mnist_3882"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name} there."

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=["normal", "pneumonia"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://medmnist.com",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        path = fetch(dl_manager, ARCHIVE)
        return {split: self._generate_examples(path, name) for split, name in SPLITS.items()}

    def _generate_examples(self, path: Path, name: str) -> Examples:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
        for number, (image, label) in enumerate(zip(images, labels[:, 0], strict=True)):
            yield f"{name}-{number:05d}", {"image": image[..., None], "label": int(label)}
