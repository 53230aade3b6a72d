"""Noto Emoji (Google, 2025-06-18): 1,605 pictures of 72x72 with their Unicode names."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.data.split import by_hash

SIZE = 72
IMAGES = File("images_72.tar", "31a94d8795d5649f6f26b08f5905015289ad404a8001326668b4352fccfd3762")
CAPTIONS = File(
    "captions.tsv.gz", "9abbc04270146e5b3703c129b4d46898bd9f8697d94fdb8916bf9eb1be5321a2"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `image` uint8 [72, 72, 3], and texts `caption`, `group` and `keywords`.

    `image` is RGB, on white; `caption` is the emoji's Unicode name, such as "keycap: #"; `group`
    one of nine groups of emoji, such as "Food & Drink"; `keywords` has gemoji's words, separated by
    single spaces, "" if there are none. The source has no splits: train (1,258 emoji), validation
    (169) and test (178) are chosen by the hash of the file's name.

    The files `IMAGES` and `CAPTIONS` are not downloaded, but must be in the folder of --manual-dir,
    else UsageError. Licences: images Apache 2.0 (noto-emoji), names of Unicode, keywords MIT
    (gemoji).
    """

    name = "noto_emoji_captions"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put images_72.tar and captions.tsv.gz there."

    def _info(self) -> tfds.core.DatasetInfo:
        # A plain array: TFDS's Image feature would need TensorFlow to write.
        features = {
            "image": tfds.features.Tensor(shape=(SIZE, SIZE, 3), dtype=np.uint8),
            "caption": tfds.features.Text(),
            "group": tfds.features.Text(),
            "keywords": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/googlefonts/noto-emoji",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        images, captions = fetch(dl_manager, IMAGES), fetch(dl_manager, CAPTIONS)
        rows = table(captions)
        parts = by_hash([row["file"] for row in rows])
        return {
            split: self._generate_examples(images, [rows[i] for i in index])
            for split, index in parts.items()
        }

    def _generate_examples(self, images: Path, rows: list[dict[str, str]]) -> Examples:
        with tarfile.open(images) as archive:
            for row in rows:
                member = archive.extractfile(row["file"])
                assert member is not None
                yield (
                    row["file"],
                    {
                        "image": on_white(member.read()),
                        "caption": row["name"],
                        "group": row["group"],
                        "keywords": row["keywords"],
                    },
                )


def table(file: Path) -> list[dict[str, str]]:
    """Reads a gzip file of tab-separated values as {column: cell} of each row below its header."""
    lines = gzip.decompress(file.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def on_white(content: bytes) -> np.ndarray:
    """Decodes a PNG file and composites it over the centre of a white square, uint8 [72, 72, 3].

    Args:
        content: the file, an image of at most 72x72 pixels.
    """
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGBA")
    ground = Image.new("RGBA", (SIZE, SIZE), "white")
    corner = ((SIZE - image.width) // 2, (SIZE - image.height) // 2)
    ground.alpha_composite(image, corner)
    return np.asarray(ground.convert("RGB"))
