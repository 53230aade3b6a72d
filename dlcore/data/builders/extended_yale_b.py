"""Extended Yale B, cropped faces of 32x32 pixels: 38 people under up to 64 lightings each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

PEOPLE, SIDE = 38, 32
ARCHIVE = File(
    "yaleb_32x32.npz", "a930df8d1cf06bed2cf58c46605e75b0b217504534b448bb756829056ffec8bf"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [32, 32, 1] (grey) and `label`, a ClassLabel: the person.

    Class 0 to 37 has the name "1" to "38", the person's number in the file. The only split is train
    (2,414 images, 59 to 64 of each person). The file `ARCHIVE` is not downloaded, but must be in
    the folder of --manual-dir, else UsageError. Free for research by its authors' statement
    (Georghiades et al. 2001, Lee et al. 2005).
    """

    name = "extended_yale_b"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {ARCHIVE.name}, with images uint8 [2414, 32, 32] and person 1 to 38, there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(SIDE, SIDE, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=[f"{n}" for n in range(1, PEOPLE + 1)]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="http://vision.ucsd.edu/~leekc/ExtYaleDatabase/ExtYaleB.html",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {"train": self._generate_examples(fetch(dl_manager, ARCHIVE))}

    def _generate_examples(self, path: Path) -> Examples:
        with np.load(path, allow_pickle=False) as found:
            images, people = found["images"], found["person"]
        for number, (image, person) in enumerate(zip(images, people, strict=True)):
            yield (
                f"{person:02d}-{number:04d}",
                {"image": image[..., None], "label": int(person) - 1},
            )
