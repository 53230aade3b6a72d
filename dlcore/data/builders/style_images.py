"""Pictures for style transfer: three paintings in the public domain, and a photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

PLACE = "https://raw.githubusercontent.com/jcjohnson/neural-style/07c4b8299f8fbdafec0c514fc820ff1d7ff62e46/examples/inputs/"
FILES = {
    "starry_night": "0592ab0f7b51b3ce72608a95e53880bd93971e5b48f93a0ce8dfd3cbccf3d098",
    "the_scream": "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
    "shipwreck": "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
    "tubingen": "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `name`, a text, `shape` int32 [3] and `values` uint8 [n], the RGB pixels.

    `name` is a key of `FILES`; `shape` is (height, width, 3), which differs by picture; `values`
    are the pixels, flattened in row-major order. All four pictures are in the split train. Files
    that are not in the folder of --manual-dir are downloaded from github.com/jcjohnson/neural-style
    (`PLACE`); UsageError if a file differs from the expected one. Licences: the paintings (van Gogh
    1889, Munch 1893, Turner 1805) are in the public domain; the photograph is Andreas Praefcke's,
    from Wikimedia Commons.
    """

    name = "style_images"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {', '.join(FILES)}, .jpg, from {PLACE} there."

    def _info(self) -> tfds.core.DatasetInfo:
        # Plain numbers: TFDS's Image feature would need TensorFlow to write.
        features = {
            "name": tfds.features.Text(),
            "shape": tfds.features.Tensor(shape=(3,), dtype=np.int32),
            "values": tfds.features.Tensor(shape=(None,), dtype=np.uint8),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/jcjohnson/neural-style",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        paths = {
            name: fetch(dl_manager, File(f"{name}.jpg", sha256, f"{PLACE}{name}.jpg"))
            for name, sha256 in FILES.items()
        }
        return {"train": self._generate_examples(paths)}

    def _generate_examples(self, paths: dict[str, Path]) -> Examples:
        for name, path in paths.items():
            with Image.open(path) as opened:
                image = np.asarray(opened.convert("RGB"))
            shape = np.array(image.shape, np.int32)
            yield name, {"name": name, "shape": shape, "values": image.reshape(-1)}
