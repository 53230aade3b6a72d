"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 pieces of clothing of 28x28 pixels."""

from __future__ import annotations

from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders import idx
from dlcore.data.builders.files import DownloadManager, Examples

CLASSES = [
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
SPLITS = idx.files(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        "test": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    },
)


# not registered: TFDS, which refuses a second builder of a name, has one called fashion_mnist
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder of `image` uint8 [28, 28, 1] (grey) and `label`, a ClassLabel of `CLASSES`.

    Splits: train (60,000 images) and test (10,000). Examples and their order are those of TFDS's
    builder of this name, which needs TensorFlow. The four files, if they are not in the folder of
    --manual-dir, are downloaded (`SPLITS`); UsageError if they differ from the expected ones.
    Licence: MIT.
    """

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz from"
        " http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/ there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        label = tfds.features.ClassLabel(names=CLASSES)
        return idx.info(self, __doc__, label, "https://github.com/zalandoresearch/fashion-mnist")

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        paths = idx.fetched(dl_manager, SPLITS)
        return {split: self._generate_examples(*pair) for split, pair in paths.items()}

    def _generate_examples(self, images: Path, labels: Path) -> Examples:
        yield from idx.examples(images, labels)
