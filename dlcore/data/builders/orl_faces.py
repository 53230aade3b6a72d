"""The ORL database of faces (AT&T Laboratories Cambridge, 1992 to 1994): 40 people, 10 images each.

The images are grey. The copy whose checksum is given here (github.com/surabhiiyer/CreepyTeddy,
att_faces) differs from the original: its s1 and s2 are two other people, photographed elsewhere.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

PEOPLE, HEIGHT, WIDTH = 40, 112, 92
ARCHIVE = File(
    "orl_faces.tar.xz", "3f83dab83f07db45b80dfcbbbf9f36301696889501d93b90f95574bf9676dfc9"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [112, 92, 1] (grey) and `label`, a ClassLabel: the person.

    Class 0 to 39 has the name "s1" to "s40", the person's folder in the archive. The only split is
    train (400 images, 10 of each person). The archive `ARCHIVE` is not downloaded, but must be in
    the folder of --manual-dir, else UsageError. The authors ask to give credit to the Olivetti
    Research Laboratory; no licence is stated.
    """

    name = "orl_faces"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {ARCHIVE.name}, with orl_faces/s1/1.pgm to orl_faces/s40/10.pgm, there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(HEIGHT, WIDTH, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=[f"s{n}" for n in range(1, PEOPLE + 1)]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            citation="Samaria and Harter, Parameterisation of a stochastic model for human face"
            " identification, 1994",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {"train": self._generate_examples(fetch(dl_manager, ARCHIVE))}

    def _generate_examples(self, path: Path) -> Examples:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    with Image.open(io.BytesIO(file.read())) as image:
                        pixels = np.asarray(image.convert("L"), np.uint8)[..., None]
                    person, number = Path(member.name).parts[-2:]
                    yield f"{person}-{number}", {"image": pixels, "label": person}
