"""ATIS (Hemphill et al. 1990): 5,871 spoken requests about flights, with an intent and slots."""

from __future__ import annotations

import zipfile
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.data.builders.tagged import tagged_info

ARCHIVE = File("atis.zip", "440fc5b80d10664c4b67c75e06419c13622a207c7d5ffbdc57e1988bed72dc17")
FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of texts `words`, `tags` (BIO) and `label` (the intent), one string each.

    Words and tags are separated by single spaces, one tag per word (`tagged_info`); several intents
    of a request are joined by "#". The splits train (4,478 requests), validation (500) and test
    (893) are those of Goo et al. 2018 (Slot-Gated). The archive `ARCHIVE` is not downloaded, but
    must be in the folder of --manual-dir, else UsageError. Licence: of the Linguistic Data
    Consortium.
    """

    name = "atis"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name} there."

    def _info(self) -> tfds.core.DatasetInfo:
        return tagged_info(self, __doc__, "https://github.com/MiuLab/SlotGated-SLU")

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        path = fetch(dl_manager, ARCHIVE)
        return {split: self._generate_examples(path, folder) for split, folder in FOLDERS.items()}

    def _generate_examples(self, path: Path, folder: str) -> Examples:
        with zipfile.ZipFile(path) as archive:
            columns = [
                archive.read(f"{folder}/{name}").decode("utf-8").splitlines()
                for name in ("seq.in", "seq.out", "label")
            ]
        for number, (words, tags, label) in enumerate(zip(*columns, strict=True)):
            fields = {"words": " ".join(words.split()), "tags": " ".join(tags.split())}
            yield f"{number:05d}", {**fields, "label": label.strip()}
