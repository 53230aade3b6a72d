"""bAbI question answering 1.2 in English (Weston et al. 2015): 20 tasks.

Each task has 1,000 questions for training in the small set, and 10,000 in the large one, from which
the training questions of task 3 are missing.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch

SMALL = File("babi_en.tar.xz", "dc411f8a9062a2b522c591018cc885724772e645ab80c99c7e988d93d991c312")
LARGE = File(
    "babi_en-10k.tar.xz", "f0366ee80aa9f1a8562ce5f1588ecaeaee7a36c9d2aa12d860d9e359b7ec55a0"
)
_FILE = re.compile(r"qa(\d+)_.*_(train|test)\.txt")


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `task`, int32 from 1 to 20, and `story`, a text; an example is one story.

    `story` has a story's lines in bAbI's format, separated by newlines. Each line has its number,
    from 1 on, a space, and a statement or a question. Behind a question are a tab, the answer
    (several words are joined by commas), a tab, and the numbers of the supporting lines, separated
    by spaces.

    Splits: train and test (6,267 stories each, with 1,000 questions per task), train_10k (60,661
    stories, with 10,000 questions per task, without task 3) and test_10k (the stories of test). The
    archives `SMALL` and `LARGE` are not downloaded, but must both be in the folder of --manual-dir,
    else UsageError. Licence: CC BY 3.0.
    """

    name = "babi_v12"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {SMALL.name} and {LARGE.name} there."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "task": tfds.features.Scalar(dtype=np.int32),
            "story": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://research.fb.com/downloads/babi/",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        small, large = fetch(dl_manager, SMALL), fetch(dl_manager, LARGE)
        return {
            f"{split}{suffix}": self._generate_examples(path, split)
            for path, suffix in ((small, ""), (large, "_10k"))
            for split in ("train", "test")
        }

    def _generate_examples(self, path: Path, split: str) -> Examples:
        contents: dict[int, str] = {}
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                named = _FILE.fullmatch(Path(member.name).name)
                if named and named[2] == split:
                    file = archive.extractfile(member)
                    assert file is not None
                    contents[int(named[1])] = file.read().decode()
        for task, content in sorted(contents.items()):
            for number, story in enumerate(stories(content)):
                yield f"{task:02d}-{number:05d}", {"task": task, "story": story}


def stories(content: str) -> list[str]:
    """Splits a file of bAbI into its stories, each of which starts at a line with the number 1."""
    return [each.strip("\n") for each in re.split(r"(?m)^(?=1 )", content) if each.strip()]
