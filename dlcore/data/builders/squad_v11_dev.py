"""SQuAD 1.1's development set (Rajpurkar et al. 2016): 10,570 questions on 48 articles.

The training set is not part of it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

ARCHIVE = File(
    "dev-v1.1.json.zip", "6cf38c56fc7341bab8a5132f205dd7198148a6be9073ccd8ef07d55ca73b09b7"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of texts `article`, `context` and `questions`; one example is a paragraph.

    `article` is the title, with underscores for spaces; `context` the paragraph; `questions` a JSON
    list of [question, [[answer, offset of its first character], ...]], with one answer at least and
    offsets into `context` from 0 on. All 2,067 paragraphs, with 10,570 questions, are in the split
    dev. The archive `ARCHIVE` is not downloaded, but must be in the folder of --manual-dir, else
    UsageError. Licence: CC BY-SA 4.0.
    """

    name = "squad_v11_dev"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE.name}, which holds dev-v1.1.json, there."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in ("article", "context", "questions")}
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://rajpurkar.github.io/SQuAD-explorer/",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {"dev": self._generate_examples(fetch(dl_manager, ARCHIVE))}

    def _generate_examples(self, path: Path) -> Examples:
        with zipfile.ZipFile(path) as archive:
            articles = json.loads(archive.read("dev-v1.1.json"))["data"]
        for article in articles:
            for number, paragraph in enumerate(article["paragraphs"]):
                questions = [
                    [
                        each["question"],
                        [[answer["text"], answer["answer_start"]] for answer in each["answers"]],
                    ]
                    for each in paragraph["qas"]
                ]
                yield (
                    f"{article['title']}-{number:03d}",
                    {
                        "article": article["title"],
                        "context": paragraph["context"],
                        "questions": json.dumps(questions, ensure_ascii=False),
                    },
                )
