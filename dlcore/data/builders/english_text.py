"""English of many kinds for pretraining: encyclopedia, speeches, dialogues, reviews, captions.

The examples are texts without labels.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds

from dlcore.data.builders import state_union
from dlcore.data.builders.files import DownloadManager, Examples, manual_folder
from dlcore.errors import UsageError

HELD_BACK = 40  # every 40th document of each kind is for validation

Read = Callable[[bytes], Iterator[str]]


class Kind(NamedTuple):
    """Files of one kind of text.

    Attributes:
        files: glob pattern of the files in the manual folder.
        sha256: SHA-256 of the contents of all these files, concatenated in the order of their
            names.
        read: yields the documents of the decompressed contents of one file.
    """

    files: str
    sha256: str
    read: Read


def _articles(content: bytes) -> Iterator[str]:
    """Yields the articles of WikiText, which titles between single `=` separate.

    Marks of unknown words are removed, and the spaced marks of hyphens and separators replaced.
    """
    text = (
        content.decode()
        .replace("<unk>", "")
        .replace(" @-@ ", "-")
        .replace(" @,@ ", ",")
        .replace(" @.@ ", ".")
    )
    yield from (
        part.strip() for part in re.split(r"(?m)^ = (?!=).*(?<!=) = $", text) if part.strip()
    )


def _speeches(content: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".txt"):
                yield state_union.plain(archive.read(name))


def _dialogues(content: bytes) -> Iterator[str]:
    for dialogue in json.loads(content):
        turns = dialogue.get("turns") or dialogue["utterances"]
        yield "\n".join(turn.get("utterance") or turn.get("text") or "" for turn in turns)


def _lines(content: bytes) -> Iterator[str]:
    """Yields documents of 25 lines each, for sentences whose order has no meaning."""
    lines = content.decode().splitlines()
    yield from ("\n".join(lines[start : start + 25]) for start in range(0, len(lines), 25))


def _sentences(content: bytes) -> Iterator[str]:
    """Universal Dependencies: the sentences of each text, without their trees."""
    for document in content.decode().split("# newdoc id = ")[1:]:
        yield "\n".join(re.findall(r"(?m)^# text = (.*)$", document))


def _pronouns(content: bytes) -> Iterator[str]:
    yield from (
        row["Text"]
        for row in csv.DictReader(
            io.StringIO(content.decode()), delimiter="\t", quoting=csv.QUOTE_NONE
        )
    )


def _questions(content: bytes) -> Iterator[str]:
    for article in json.loads(content)["data"]:
        for paragraph in article["paragraphs"]:
            yield "\n".join(
                [paragraph["context"], *(question["question"] for question in paragraph["qas"])]
            )


def _problems(content: bytes) -> Iterator[str]:
    yield from _lines(
        "\n".join(
            json.loads(line)["question"].replace("\n", " ") for line in content.splitlines()
        ).encode()
    )


def _queries(content: bytes) -> Iterator[str]:
    table = csv.DictReader(io.StringIO(content.decode()))
    yield from _lines("\n".join(row["text"].replace("\n", " ") for row in table).encode())


def _bookings(content: bytes) -> Iterator[str]:
    table = json.loads(content)
    yield from _lines(
        "\n".join(turn["userInput"]["text"].replace("\n", " ") for turn in table).encode()
    )


# No text of sentence_polarity or clinc_oos is among them. Of most sets with a published test split
# only the training texts are; gap, taskmaster4, wikitext2, xquad and state_union are complete, with
# texts that other experiments test on. A model that was pretrained on a kind must not be evaluated
# on it: `without` of `sets.text.load` leaves kinds out.
KINDS = {
    "banking77": Kind(
        "banking77/train.csv.gz",
        "986431813f89f842cbc396388c2f2630ae33fa30a533cc5cfa9e199f0e527bb0",
        _queries,
    ),
    "gap": Kind(
        "gap/gap-*.tsv.gz",
        "8536738eca184923df89b7a1404a9e64f551801fe3bcbf2a1158b3566c793e71",
        _pronouns,
    ),
    "gsm8k": Kind(
        "gsm8k/train.jsonl.gz",
        "d52a31668743a4f18e4a284514e54eea07a06ae31fcf4293af2506c198c05bda",
        _problems,
    ),
    "multi30k": Kind(
        "multi30k_en_de/train.en.gz",
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
        _lines,
    ),
    "restaurant8k": Kind(
        "restaurant8k/train_*.json.gz",
        "084e0c4c92700d2ea966d5ec7dc9e74b366929278637a65fbf77ec94fb955e87",
        _bookings,
    ),
    "sgd_dialogue": Kind(
        "sgd_dialogue/train/dialogues_*.json.gz",
        "73c723e5fc99dc6cc56cfe5f7eb4e90466908344d8a6b41b2fc6504f900eade8",
        _dialogues,
    ),
    "state_union": Kind(
        "state_union/state_union.zip",
        "366c1dc82b2abf896f42b2ec50ba802a0141a29f75d29ca48a7a243ce5bfbe8d",
        _speeches,
    ),
    "tanaka": Kind(
        "small_parallel_enja/train.en.gz",
        "bad7b53b45300a0c8b1f0ed75e67b4d39b7812785e179695520640e9187bb49c",
        _lines,
    ),
    "taskmaster4": Kind(
        "taskmaster4/data/data_*.json.gz",
        "a0dce9c096115a2a94ea68f7a6c5e475a9f311dcbffabf4df2b71893a7cd2a24",
        _dialogues,
    ),
    "ud_english_ewt": Kind(
        "ud_english_ewt/en_ewt-ud-train.conllu.xz",
        "c39ab16bcbf48d617e1694c3c23ed9ee7bd4f551f129dee29738947ada40f2c6",
        _sentences,
    ),
    "wikitext2": Kind(
        "wikitext2_valid_test/*.txt.xz",
        "b7fba5e304319021736d91c88077f9c0f590dbc08a158c1dc55ad2963fc8f879",
        _articles,
    ),
    "xquad": Kind(
        "xquad/xquad.en.json.gz",
        "5d48a9af186bf7398f36304c0528fba87e0f52c5c7d7975755ece7c43516f298",
        _questions,
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the text `text`, one document, and `kind`, a ClassLabel of `KINDS`.

    A document has several lines, separated by newlines, but for gap, where it is one passage:

    - banking77, gsm8k, multi30k, restaurant8k, tanaka: 25 texts or fewer, one per line;
    - sgd_dialogue, taskmaster4: a dialogue, one turn per line, without the speakers;
    - state_union: a speech, one paragraph per line;
    - ud_english_ewt: a text, one sentence per line;
    - wikitext2: an article, with the marks of its sections and without its title;
    - xquad: a paragraph, and the questions on it, one per line.

    Splits: train (14,986 documents) and validation (381, each 40th of a kind). The files of all
    kinds, at the paths `Kind.files` below the folder of --manual-dir, are not downloaded, but must
    be there, else UsageError. Licences differ by kind: public domain, MIT, Apache, CC BY, CC BY-SA;
    the captions of multi30k are for research only.
    """

    name = "english_text"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put these files there: " + ", ".join(kind.files for kind in KINDS.values()) + "."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "text": tfds.features.Text(),
            "kind": tfds.features.ClassLabel(names=list(KINDS)),
        }
        return tfds.core.DatasetInfo(
            builder=self, description=__doc__, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        folder = manual_folder(dl_manager)
        return {
            split: self._generate_examples(folder, split == "validation")
            for split in ("train", "validation")
        }

    def _generate_examples(self, folder: Path, held_back: bool) -> Examples:
        for name, kind in KINDS.items():
            for number, document in enumerate(documents(folder, kind)):
                if (number % HELD_BACK == HELD_BACK - 1) == held_back:
                    yield f"{name}-{number:06d}", {"text": document, "kind": name}


def documents(folder: Path, kind: Kind) -> Iterator[str]:
    """Yields the documents of one kind that are not blank.

    Args:
        folder: the manual folder, which `kind.files` is relative to.
        kind: the files, and how they are read.

    Raises:
        UsageError: at the first document: no such files, or their contents have another SHA-256.
    """
    files, digest = sorted(folder.glob(kind.files)), hashlib.sha256()
    if not files:
        raise UsageError(
            f"{kind.files} must be given: dlcore prepare english_text --manual-dir"
            " FOLDER_WITH_ALL_OF_THEM"
        )
    contents = [file.read_bytes() for file in files]
    for content in contents:
        digest.update(content)
    if digest.hexdigest() != kind.sha256:
        raise UsageError(
            f"the {len(files)} files {kind.files} in {folder} are not those that the set is made"
            f" of: the sha256 of all of them in the order of their names is {digest.hexdigest()},"
            f" and not {kind.sha256}"
        )
    unpack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}
    for file, content in zip(files, contents, strict=True):
        yield from (
            text for text in kind.read(unpack.get(file.suffix, bytes)(content)) if text.strip()
        )
