"""MNIST (LeCun, Cortes and Burges): 70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders import idx
from dlcore.data.builders.files import DownloadManager, Examples

SPLITS = idx.files(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    {
        "train": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        "test": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    },
)


# not registered: TFDS, which refuses a second builder of a name, has one called mnist
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder of `image` uint8 [28, 28, 1] (grey) and `label`, a ClassLabel of 10 classes.

    The classes have no names. Splits: train (60,000 images) and test (10,000). Examples and their
    order are those of TFDS's builder of this name, which needs TensorFlow. The four files, if they
    are not in the folder of --manual-dir, are downloaded (`SPLITS`); UsageError if they differ from
    the expected ones.
    """

    name = "mnist"
    VERSION = tfds.core.Version("3.0.1")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz from"
        " https://storage.googleapis.com/cvdf-datasets/mnist/ there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        label = tfds.features.ClassLabel(num_classes=10)
        return idx.info(self, __doc__, label, "http://yann.lecun.com/exdb/mnist/")

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        paths = idx.fetched(dl_manager, SPLITS)
        return {split: self._generate_examples(*pair) for split, pair in paths.items()}

    def _generate_examples(self, images: Path, labels: Path) -> Examples:
        yield from idx.examples(images, labels)
