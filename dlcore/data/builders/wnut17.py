"""WNUT 2017 (Derczynski et al. 2017): 5,690 posts of social media with rare and emerging names."""

from __future__ import annotations

import gzip
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.data.builders.tagged import tagged_info, tagged_rows

FILES = {
    "train": File(
        "wnut17train.conll.gz", "e41db9d5f4ab35f08445fc088224671b9eb2ea6f8328179aad537cc74c994652"
    ),
    "validation": File(
        "emerging.dev.conll.gz", "b08c789bbd4916ca207a4add8571b11fbfda2837caa05ac8c5ed3da63ea1506e"
    ),
    "test": File(
        "emerging.test.annotated.gz",
        "4216f0072c0d23e3e20f001db8002ac2e67e5b08d651d038407f4d1d54982723",
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of texts `words`, `tags` (BIO) and `label` (always ""), one string each.

    Words and tags are separated by single spaces, one tag per word (`tagged_info`). The splits
    train (3,394 posts), validation (1,009) and test (1,287) are the published ones. The files, see
    `FILES`, are not downloaded, but must be in the folder of --manual-dir, else UsageError.

    Licence: CC BY 4.0.
    """

    name = "wnut17"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {', '.join(file.name for file in FILES.values())} there."

    def _info(self) -> tfds.core.DatasetInfo:
        return tagged_info(self, __doc__, "https://github.com/leondz/emerging_entities_17")

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {
            split: self._generate_examples(fetch(dl_manager, file)) for split, file in FILES.items()
        }

    def _generate_examples(self, path: Path) -> Examples:
        return tagged_rows(gzip.decompress(path.read_bytes()).decode("utf-8"), "\t")
