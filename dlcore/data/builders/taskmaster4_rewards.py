"""Rewarded answers of Taskmaster-4 (Byrne et al. 2024): 3,228 answers of an assistant.

The assistant takes orders of coffee and calls programs; a person labelled each answer as right (1)
or wrong (0).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, manual_folder, same_contents
from dlcore.data.builders.taskmaster4 import HOMEPAGE, first
from dlcore.data.own.dialogues import Message, Role, to_json
from dlcore.data.split import by_hash

FILES = (
    "reward/reward_*.json.gz",
    "8956852d1898455a9979b25771bee3126c7b5458f3471c91aab22bd944ed9b8a",
)
_ROLES: dict[str, Role] = {"agent": "assistant", "user": "user", "api": "tool"}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the text `messages`, a dialogue as JSON, and `reward`, a ClassLabel.

    `messages` is a list of [role, content] (`own.dialogues.to_json`). The roles are user, assistant
    and tool (the response of a program); calls of programs and responses are JSON in `content`. The
    last message, of the assistant, is the answer; `reward` is 0 (wrong) or 1 (right).

    Splits: train (2,540 answers), validation (351) and test (337). About a tenth of the answers
    each is for validation and test, by the hash of the user's first message: answers within one
    dialogue are in one split. The files, see `FILES`, are not downloaded, but must be in the folder
    of --manual-dir, else UsageError. Licence: CC BY 4.0.
    """

    name = "taskmaster4_rewards"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put the folder reward of TM-4-2024 of {HOMEPAGE} there, each file compressed by gzip -n."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "messages": tfds.features.Text(),
            "reward": tfds.features.ClassLabel(names=["wrong", "right"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage=HOMEPAGE,
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        folder = manual_folder(dl_manager)
        splits = ("train", "validation", "test")
        return {split: self._generate_examples(folder, split) for split in splits}

    def _generate_examples(self, folder: Path, split: str) -> Examples:
        contents = same_contents(folder, *FILES, self.name)
        found = [each for content in contents for each in json.loads(gzip.decompress(content))]
        dialogues = [answered(each) for each in found]
        for index in by_hash([first(each) for each in dialogues])[split]:
            reward = int(found[index]["reward"])
            yield f"{index:05d}", {"messages": to_json(dialogues[index]), "reward": reward}


def answered(example: dict) -> list[Message]:
    """Converts the context and the answer to messages; calls of programs and responses are JSON."""
    turns = [*json.loads(example["context"]), json.loads(example["generation"])]
    return [
        Message(_ROLES[turn["role"]], turn.get("text") or json.dumps(_call(turn))) for turn in turns
    ]


def _call(turn: dict) -> object:
    return turn.get("api") or turn.get("response") or turn.get("text", "")
