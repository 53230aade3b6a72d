"""Schema-Guided Dialogue (Rastogi et al. 2020): 3,072 of its dialogues.

People talk with an assistant that searches, books and pays.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, manual_folder, same_contents
from dlcore.data.own.dialogues import Message, Role, to_json

FILES = {
    "train": (
        "train/dialogues_*.json.gz",
        "73c723e5fc99dc6cc56cfe5f7eb4e90466908344d8a6b41b2fc6504f900eade8",
    ),
    "validation": (
        "dev/dialogues_*.json.gz",
        "e3f7093e58bd3205faedf42eed75ced1414b19064ea947e7cea2ec0d4dc278d3",
    ),
    "test": (
        "test/dialogues_*.json.gz",
        "764258f474e33b4552b272ad0da218c504cf2e114a6566696ee5fba5603d2bed",
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds the TFDS set of texts `messages`, a dialogue as JSON, and `dialogue`, its id.

    `messages` is a list of [role, content], with the roles user and assistant
    (`own.dialogues.to_json`); an id, such as "1_00000", is unique within a split only. Each split
    has all dialogues of the first files of a published one: train 2,048; validation, which is
    published as dev, 512; test 512. The files, see `FILES`, are not downloaded, but must be in the
    folder of --manual-dir, unchanged, else UsageError. Licence: CC BY-SA 4.0.
    """

    name = "sgd_dialogue"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the folders train, dev and test of"
        " github.com/google-research-datasets/dstc8-schema-guided-dialogue there: of train the"
        " files 001 to 016, of the others 001 to 004, each by gzip -n."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in ("messages", "dialogue")}
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://github.com/google-research-datasets/dstc8-schema-guided-dialogue",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        folder = manual_folder(dl_manager)
        return {split: self._generate_examples(folder, *FILES[split]) for split in FILES}

    def _generate_examples(self, folder: Path, pattern: str, sha256: str) -> Examples:
        for content in same_contents(folder, pattern, sha256, self.name):
            for dialogue in json.loads(gzip.decompress(content)):
                name = dialogue["dialogue_id"]
                yield name, {"messages": messages(dialogue), "dialogue": name}


def messages(dialogue: dict) -> str:
    """Converts the turns of a dialogue to JSON as `to_json`; SYSTEM becomes the role assistant."""
    roles: dict[str, Role] = {"USER": "user", "SYSTEM": "assistant"}
    return to_json(
        [Message(roles[turn["speaker"]], turn["utterance"]) for turn in dialogue["turns"]]
    )
