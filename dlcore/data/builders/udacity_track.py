"""One drive in the Udacity simulator: every second frame of the centre camera, and the steering."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

HEIGHT, WIDTH = 64, 128
FRAMES = File(
    "center_128x64_jpg.zip", "572f3d02283e45b1efed591e48eab13e1afb0ce4a0d64559d2f574644d67b41b"
)
LOG = File("driving_log.tsv.gz", "10d238934ba7deec7b43f8ac9a2d4a7283c0a5b879193384a34a29cc3f9748f9")


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [64, 128, 3] (RGB), `number`, `steering` and `speed`.

    All 2,027 frames are in the split train. `number`, int32 from 0 on, is the position of the frame
    in the drive, since TFDS writes examples in another order. `steering`, float32 in [-1, 1], and
    `speed`, float32 from 0 on, are as the simulator logged them; negative steering is to the left;
    the unit of speed is not stated. The files `FRAMES` and `LOG` are not downloaded, but must be in
    the folder of --manual-dir, else UsageError. Made from github.com/rslim087a/track; no licence is
    stated there.
    """

    name = "udacity_track"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {FRAMES.name} and {LOG.name} there."

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(HEIGHT, WIDTH, 3), dtype=np.uint8),
            "number": tfds.features.Scalar(dtype=np.int32),
            "steering": tfds.features.Scalar(dtype=np.float32),
            "speed": tfds.features.Scalar(dtype=np.float32),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/udacity/self-driving-car-sim",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        files = fetch(dl_manager, FRAMES), fetch(dl_manager, LOG)
        return {"train": self._generate_examples(*files)}

    def _generate_examples(self, frames: Path, log: Path) -> Examples:
        text = gzip.decompress(log.read_bytes()).decode()
        rows = [
            row for row in csv.DictReader(io.StringIO(text), delimiter="\t") if row["in_zip"] == "1"
        ]
        with zipfile.ZipFile(frames) as archive:
            for number, row in enumerate(rows):
                with Image.open(io.BytesIO(archive.read(row["frame"]))) as image:
                    pixels = np.asarray(image.convert("RGB"), np.uint8)
                yield (
                    f"{number:05d}",
                    {
                        "image": pixels,
                        "number": number,
                        "steering": float(row["steering"]),
                        "speed": float(row["speed"]),
                    },
                )
