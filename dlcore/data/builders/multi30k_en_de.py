"""Multi30k, task 1 (Elliott et al. 2016): image captions in English and German.

29,000 pairs for training, 1,014 for validation, and the 1,000 of test 2016.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.errors import UsageError

PLACE = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
# Of each split, the sha256 of its English and of its German file.
SPLITS = {
    "train": (
        "train",
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
        "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    ),
    "validation": (
        "val",
        "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    ),
    "test": (
        "test_2016_flickr",
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the texts `en` and `de`, a caption in English and its German translation.

    Each is one string, a line of the published raw files without spaces at its ends. Splits: train
    (29,000 pairs), validation (1,014) and test (1,000). Files that are not in the folder of
    --manual-dir are downloaded from github.com/multi30k/dataset (`PLACE`); UsageError if a file
    differs from the published one. Licence: the captions are under the terms of Flickr30k, for
    non-commercial research.
    """

    name = "multi30k_en_de"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put train, val and test_2016_flickr, .en.gz and .de.gz, from {PLACE} there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {"en": tfds.features.Text(), "de": tfds.features.Text()}
            ),
            supervised_keys=("de", "en"),
            homepage="https://github.com/multi30k/dataset",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        def files(stem: str, *marks: str) -> list[Path]:
            names = [f"{stem}.{language}.gz" for language in ("en", "de")]
            return [
                fetch(dl_manager, File(name, mark, PLACE + name))
                for name, mark in zip(names, marks, strict=True)
            ]

        return {split: self._generate_examples(*files(*parts)) for split, parts in SPLITS.items()}

    def _generate_examples(self, english: Path, german: Path) -> Examples:
        en, de = sentences(english), sentences(german)
        if len(en) != len(de):
            raise UsageError(
                f"{english.name} has {len(en)} lines and {german.name} {len(de)}: they are not of"
                " one another"
            )
        for number, pair in enumerate(zip(en, de, strict=True)):
            yield f"{number:05d}", dict(zip(("en", "de"), pair, strict=True))


def sentences(path: Path) -> list[str]:
    """Reads the lines of a gzip file of UTF-8, without spaces at their ends."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    # splitlines would cut at other characters too
    return [line.strip() for line in text.removesuffix("\n").split("\n")]
