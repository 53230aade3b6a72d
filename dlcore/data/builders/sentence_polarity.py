"""Sentence polarity 1.0 (Pang & Lee 2005): 10,662 sentences of film reviews, half of them positive.

There is no published split.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

ARCHIVE = File(
    "sentence_polarity.zip",
    "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
    "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/sentence_polarity.zip",
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the text `text`, one sentence, and `label`, a ClassLabel.

    `text` is a line of the published file without spaces at its ends; `label` is 0 (negative) or 1
    (positive). All 10,662 sentences, 5,331 of each class, are in the split train. The archive, if
    it is not in the folder of --manual-dir, is downloaded from github.com/nltk/nltk_data
    (`ARCHIVE`); UsageError if it differs from the expected one. Licence: CC BY 4.0.
    """

    name = "sentence_polarity"
    VERSION = tfds.core.Version("1.0.1")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.1": "Letters with accents, in 201 lines, are decoded as UTF-8."
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name} from {ARCHIVE.url} there."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "text": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["negative", "positive"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {"train": self._generate_examples(fetch(dl_manager, ARCHIVE))}

    def _generate_examples(self, path: Path) -> Examples:
        with zipfile.ZipFile(path) as archive:
            for label, file in (("negative", "rt-polarity.neg"), ("positive", "rt-polarity.pos")):
                content = archive.read(f"sentence_polarity/{file}").decode("utf-8")
                for number, line in enumerate(content.removesuffix("\n").split("\n")):
                    yield f"{label}-{number:05d}", {"text": line.strip(), "label": label}
