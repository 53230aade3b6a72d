"""BANKING77 (Casanueva et al. 2020): questions of a bank's customers with one of 77 intents."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

FILES = {
    "train": File(
        "train.csv.gz", "986431813f89f842cbc396388c2f2630ae33fa30a533cc5cfa9e199f0e527bb0"
    ),
    "test": File("test.csv.gz", "7bd00d4437c0d07f17ad2bbdac416e27d9aae4e8f9845c60fc2e20638526c4f4"),
}
INTENTS = File(
    "categories.json.gz", "ed2a9a1d5719a02175c1edc92a4b7936ca49cbcf16523664442430ea585d2567"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the texts `text` (a question) and `intent`, the name of its intent.

    `text` is as published, and may contain line breaks; `intent` is one of 77 names, such as
    "card_arrival". Splits as published: 10,003 questions for train and 3,080 for test. The files,
    see `FILES` and `INTENTS`, are not downloaded, but must be in the folder of --manual-dir, else
    UsageError; they are from github.com/PolyAI-LDN/task-specific-datasets. Licence: CC BY 4.0.
    """

    name = "banking77"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put train.csv, test.csv and categories.json of banking_data/ in"
        " github.com/PolyAI-LDN/task-specific-datasets there, compressed by gzip."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"text": tfds.features.Text(), "intent": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/PolyAI-LDN/task-specific-datasets",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        intents = set(json.loads(gzip.decompress(fetch(dl_manager, INTENTS).read_bytes())))
        return {
            split: self._generate_examples(fetch(dl_manager, file), intents)
            for split, file in FILES.items()
        }

    def _generate_examples(self, path: Path, intents: set[str]) -> Examples:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline=""))):
            assert row["category"] in intents
            yield f"{number:05d}", {"text": row["text"], "intent": row["category"]}
