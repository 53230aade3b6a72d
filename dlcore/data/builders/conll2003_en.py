"""CoNLL-2003, English (Tjong Kim Sang & De Meulder 2003): 20,744 sentences of news with names.

Persons, places, organisations and other names are tagged.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.data.builders.tagged import tagged_info, tagged_rows

FILES = {
    "train": File(
        "eng.train.xz", "261e8c6a3cc90a2a5893a2e551cbb1c9bacbf85b2ffaff369efb2467f71e8fd1"
    ),
    "validation": File(
        "eng.testa.xz", "a30c8d1984c73fa675487b6e501748be927325aee9cb21396c91a98e09f7c4ab"
    ),
    "test": File(
        "eng.testb.xz", "9dd37c2c719b8719b4ee30f9f5115fee018d54284bbaba529a225786e14dc8f7"
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of texts `words`, `tags` and `label` (always ""), one string each.

    Words and tags are separated by single spaces, one tag per word (`tagged_info`). Tags are IOB1,
    with the types PER, LOC, ORG and MISC: an entity begins with I-, and with B- only directly after
    another of its type. The splits train (14,041 sentences), validation (3,250) and test (3,453)
    are the published ones. The files, see `FILES`, are not downloaded, but must be in the folder of
    --manual-dir, else UsageError.

    Licence: the annotation is free; the text is the Reuters Corpus, for research only.
    """

    name = "conll2003_en"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put eng.train.xz, eng.testa.xz and eng.testb.xz there."

    def _info(self) -> tfds.core.DatasetInfo:
        return tagged_info(self, __doc__, "https://www.clips.uantwerpen.be/conll2003/ner/")

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        return {
            split: self._generate_examples(fetch(dl_manager, file)) for split, file in FILES.items()
        }

    def _generate_examples(self, path: Path) -> Examples:
        return tagged_rows(lzma.decompress(path.read_bytes()).decode("utf-8"), " ")
