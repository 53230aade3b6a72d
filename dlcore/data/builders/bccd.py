"""BCCD v1.0 (Shenggan Cheng 2018): 364 microscope images of blood cells, with boxes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

CLASSES = ["RBC", "WBC", "Platelets"]
ARCHIVE = File(
    "BCCD_Dataset-1.0.zip",
    "97af5cc16d14d293fcb3c82a8f66e49b0339a8d0abd8e9508e0feeb4911caa1f",
    "https://github.com/Shenggan/BCCD_Dataset/archive/v1.0.zip",
)
FOLDER = "BCCD_Dataset-1.0/BCCD"  # in the archive
SPLITS = {"train": "train", "validation": "val", "test": "test"}  # {name: that in the archive}


# not registered: TFDS, which refuses a second builder of a name, has one called bccd
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder of `image` uint8 [480, 640, 3] (RGB), `image/filename` and `objects`.

    `objects` has `label`, a ClassLabel of `CLASSES`, and `bbox` float32 [boxes, 4]: top, left,
    bottom and right, as fractions of height and width. Splits of the archive: train (205 images),
    validation (87), test (72). Examples and their order are those of TFDS's builder of this name,
    which needs TensorFlow. The archive, if it is not in the folder of --manual-dir, is downloaded
    from github.com/Shenggan/BCCD_Dataset (`ARCHIVE`); UsageError if it differs from the expected
    one. Licence: MIT.
    """

    name = "bccd"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name} from {ARCHIVE.url} there."

    def _info(self) -> tfds.core.DatasetInfo:
        objects = {
            "label": tfds.features.ClassLabel(names=CLASSES),
            "bbox": tfds.features.BBoxFeature(),
        }
        features = {
            "image": tfds.features.Image(shape=(480, 640, 3), encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(objects),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/Shenggan/BCCD_Dataset",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        path = fetch(dl_manager, ARCHIVE)
        return {split: self._generate_examples(path, listed) for split, listed in SPLITS.items()}

    def _generate_examples(self, path: Path, listed: str) -> Examples:
        with zipfile.ZipFile(path) as archive:
            lines = archive.read(f"{FOLDER}/ImageSets/Main/{listed}.txt").decode()
            # The key has the line's end, as with TFDS: the order of the examples depends on it.
            for line in lines.splitlines(keepends=True):
                stem = line.strip()
                annotation = archive.read(f"{FOLDER}/Annotations/{stem}.xml")
                example: dict[str, object] = {
                    # the JPEG file as it is, which needs no encoder
                    "image": archive.read(f"{FOLDER}/JPEGImages/{stem}.jpg"),
                    "image/filename": line,
                    "objects": boxes(annotation),
                }
                yield line, example


def boxes(annotation: bytes) -> list[dict[str, object]]:
    """Reads the objects of a Pascal VOC file; those beyond the right or lower edge end there.

    Args:
        annotation: the XML file.

    Returns:
        `label`, the class's name, and `bbox`, fractions of height and width, of each object.
    """
    root = ElementTree.fromstring(annotation)

    def fraction(box: ElementTree.Element, side: str, extent: str) -> float:
        value, whole = box.findtext(f"bndbox/{side}", ""), root.findtext(f"size/{extent}", "")
        return min(float(value) / float(whole), 1.0)

    return [
        {
            "label": each.findtext("name", "").strip(),
            "bbox": tfds.features.BBox(
                ymin=fraction(each, "ymin", "height"),
                xmin=fraction(each, "xmin", "width"),
                ymax=fraction(each, "ymax", "height"),
                xmax=fraction(each, "xmax", "width"),
            ),
        }
        for each in root.iter("object")
    ]
