"""Taskmaster-4 (Byrne et al. 2024): 3,710 dialogues in which a person orders coffee."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, manual_folder, same_contents
from dlcore.data.own.dialogues import Message, to_json
from dlcore.data.split import by_hash

FILES = (
    "data/data_*.json.gz",
    "a0dce9c096115a2a94ea68f7a6c5e475a9f311dcbffabf4df2b71893a7cd2a24",
)
HOMEPAGE = "https://github.com/google-research-datasets/Taskmaster"


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the texts `messages`, a dialogue as JSON, and `dialogue`, its id.

    `messages` is a list of [role, content], with the roles user and assistant
    (`own.dialogues.to_json`). Only the texts of the turns are used. Splits: train (2,961
    dialogues), validation (381) and test (368). About a tenth of the dialogues each is for
    validation and test, by the hash of the user's first message: dialogues with the same one are in
    one split. The files, see `FILES`, are not downloaded, but must be in the folder of
    --manual-dir, else UsageError. Licence: CC BY 4.0.
    """

    name = "taskmaster4"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put the folder data of TM-4-2024 of {HOMEPAGE} there, each file compressed by gzip -n."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in ("messages", "dialogue")}
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
        turns = [spoken(dialogue) for dialogue in found]
        for index in by_hash([first(each) for each in turns])[split]:
            name = found[index]["conversation_id"]
            yield f"{index:05d}", {"messages": to_json(turns[index]), "dialogue": name}


def spoken(dialogue: dict) -> list[Message]:
    """Returns the turns of a dialogue that have a text, as messages."""
    return [
        Message(turn["speaker"], turn["text"].strip())
        for turn in dialogue["utterances"]
        if turn["text"].strip()
    ]


def first(messages: list[Message]) -> str:
    """Returns the user's first message, by whose hash dialogues are split; "" if there is none."""
    return next((each.content for each in messages if each.role == "user"), "")
