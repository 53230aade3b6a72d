"""Corpora of text for language models: tokenised, and laid out in rows of one length."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dlcore.data import source as sources
from dlcore.data import tfds, token_shards, tokenizer
from dlcore.data.characters import characters
from dlcore.data.facts import Facts
from dlcore.data.own import corpus as own
from dlcore.data.own.found import VERSION
from dlcore.data.own.prepare_text import END
from dlcore.data.packing import pack
from dlcore.data.sets import embedded, sentences
from dlcore.data.source import Source
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import bpe
from dlcore.errors import UsageError
from dlcore.options import DataSource

Layout = Literal["windows", "documents", "lines"]
_PARTS = {
    "tiny_shakespeare": ("train", "validation", "test"),
    "english_text": ("train", "validation"),
    "state_union": ("train", "validation", "test"),
}
_LARGEST_OFFLINE = 4000  # tokens: the documentation has fewer pairs to merge


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The documents of each split.

    Attributes:
        name, version: of the data.
        documents: {split: documents}.
        separator: what is between two documents in the running text of characters.
        split_by_tenths: whether a language model of characters ignores the splits: all of the text
            is joined, and its last tenth is for validation.
    """

    name: str
    version: str
    documents: dict[str, list[str]]
    separator: str
    split_by_tenths: bool = True


def corpus(name: str, source: DataSource, without: Sequence[str] = ()) -> Corpus:
    """Loads a corpus of text, before it is tokenised.

    Args:
        name: tiny_shakespeare, english_text or state_union.
        source: "published" (prepared by `dlcore prepare`); "offline", Python's documentation, of
            which each paragraph is a document; or a path to a user's texts, see
            `dlcore.data.own.corpus.load`.
        without: kinds of documents of english_text that are left out; ignored for "offline", a path
            and tiny_shakespeare.

    Raises:
        UsageError: an unknown name or kind, a set that is not prepared, or faults in a user's
            files.
    """
    if name not in _PARTS:
        raise UsageError(f"{name!r} is no corpus of text: choose one of {', '.join(_PARTS)}")
    if isinstance(source, Path):
        called = source.resolve().name
        return Corpus(called, VERSION, own.load(source), "\n\n", split_by_tenths=False)
    if is_offline(name, source):
        splits = ("train", "validation")
        documents = {split: embedded.documentation(split).split("\n\n") for split in splits}
        return Corpus("documentation", embedded.documentation_version(), documents, "\n\n")
    if name == "tiny_shakespeare":
        documents = {split: [tfds.text(name, split)] for split in _PARTS[name]}
        return Corpus(name, tfds.version(name), documents, "")
    if without:
        documents = {split: _of_other_kinds(name, split, without) for split in _PARTS[name]}
        return Corpus(f"{name} without {', '.join(without)}", tfds.version(name), documents, "\n\n")
    documents = {split: tfds.columns(name, split, ["text"])["text"] for split in _PARTS[name]}
    return Corpus(name, tfds.version(name), documents, "\n\n")


def _of_other_kinds(name: str, split: str, without: Sequence[str]) -> list[str]:
    """The documents of a split whose kind is none of `without`. UsageError: an unknown kind."""
    kinds = tfds.class_names(name, "kind")
    if unknown := [kind for kind in without if kind not in kinds]:
        raise UsageError(f"{name} has no kind {unknown[0]!r}: it has {', '.join(kinds)}")
    columns = tfds.columns(name, split, ["text", "kind"])
    both = zip(columns["text"], columns["kind"], strict=True)
    return [text for text, kind in both if kinds[int(kind)] not in without]


def load(
    name: str,
    source: DataSource,
    length: int,
    *,
    vocabulary: int | None = None,
    layout: Layout = "windows",
    overlap: int = 1,
    specials: Sequence[str] = (END,),
    without: Sequence[str] = (),
) -> Splits:
    """Loads a corpus as rows of tokens; `facts` has `tokenizer` and `vocabulary`, its size.

    Args:
        name, source: as `corpus`; or the path of a folder that `dlcore prepare text` has written,
            whose tokens stay in files (`dlcore.data.token_shards.load`). With the layout
            "documents" the rows of such tokens are windows of the running text, not packed.
        length: tokens of a row.
        vocabulary: number of tokens of a byte-pair vocabulary, the 256 bytes and special tokens
            included, which is learned from the training split (offline at most 4000). None:
            characters, for the layout "windows" only; of published and offline data the last tenth
            of all text is for validation. Of prepared tokens it is the size that their vocabulary
            must have; None: any.
        layout: "windows": `tokens`, `targets`, `weight` [length] of the running text: for training
            a window starts at every token, in other splits windows do not overlap.
            "documents": packed rows in which attention separates documents
            (`dlcore.data.packing.pack`), with `bytes`, the number of bytes of each target;
            `facts.end` is the token before and after each document.
            "lines": `tokens` [length], normalised lines end to end, "[sep]" before each, for
            masked language models (`sentences.packed`).
        overlap: of documents: in training, the segments of one document start length // overlap
            tokens apart, also if the document would fit into one segment.
        specials: of documents: the special tokens of the vocabulary, END among them; prepared
            tokens have their own.
        without: as of `corpus`.

    Raises:
        UsageError: as `corpus`; too little text for the vocabulary or a window; another layout than
            windows without a vocabulary; with the layout "lines", a split with too little text for
            a row; or, of prepared tokens, the layout "lines", or as `token_shards.load`.
    """
    if isinstance(source, Path) and token_shards.is_one(source):
        return _prepared(source, length, layout, overlap, vocabulary, specials)
    found = corpus(name, source, without)
    if vocabulary is None:
        if layout != "windows":
            raise UsageError(f"the layout {layout} needs a vocabulary of byte pairs: give its size")
        return _character_windows(found, length)
    size = min(vocabulary, _LARGEST_OFFLINE) if found.name == "documentation" else vocabulary
    if layout == "lines":
        return _lines(found, length, size)
    if layout == "documents":
        return _documents(found, length, size, max(1, length // overlap), specials)
    return _windows(found, length, size)


def _prepared(
    folder: Path,
    length: int,
    layout: Layout,
    overlap: int,
    vocabulary: int | None,
    specials: Sequence[str],
) -> Splits:
    if layout == "lines":
        raise UsageError(
            f"{folder} holds tokens, and this experiment normalises the lines of texts: give the"
            " texts themselves as --data"
        )
    documents = layout == "documents"
    splits = token_shards.load(
        folder, length, documents=documents, overlap=overlap, vocabulary=vocabulary
    )
    known = tokenizer.from_facts(splits.facts.tokenizer).specials if documents else specials
    if lacking := [each for each in specials if each not in known]:
        raise UsageError(
            f"the vocabulary of {folder} lacks {', '.join(lacking)}, by which dialogues are"
            " written when this model is tuned on them: give the texts themselves as --data"
        )
    return splits


def _character_windows(found: Corpus, length: int) -> Splits:
    joined = {split: found.separator.join(texts) for split, texts in found.documents.items()}
    text = "".join(joined.values())
    letter = characters(text)
    if not found.split_by_tenths:
        encoded = {split: letter.encode(text) for split, text in joined.items()}
        return _of_windows(found, encoded, length, letter)
    tokens = letter.encode(text)
    cut = int(0.9 * len(tokens))
    return _of_windows(found, {"train": tokens[:cut], "validation": tokens[cut:]}, length, letter)


def _windows(found: Corpus, length: int, size: int) -> Splits:
    pairs = bpe(found.documents["train"], size)
    tokens = {
        split: np.concatenate(pairs.encode_all([f"{text}\n\n" for text in documents]))
        for split, documents in found.documents.items()
    }
    return _of_windows(found, tokens, length, pairs)


def _of_windows(
    found: Corpus,
    tokens: dict[str, np.ndarray],
    length: int,
    used: tokenizer.Tokenizer,
) -> Splits:
    splits: dict[str, Source] = {}
    for split, text in tokens.items():
        if len(text) <= length:
            raise UsageError(
                f"{found.name} has {len(text)} tokens for {split}, too few for a row of {length}"
                " and its next token: give more text, or take shorter rows"
            )
        stride = 1 if split == "train" else length
        splits[split] = sources.windows(found.name, found.version, split, text, length, stride)
    return Splits.of(splits, facts=_facts(used))


def _documents(
    found: Corpus, length: int, size: int, stride: int, specials: Sequence[str]
) -> Splits:
    pairs = bpe(found.documents["train"], size, specials)
    end, bytes_of = pairs.special(END), pairs.bytes().astype(np.float32)
    splits: dict[str, Source] = {}
    for split, documents in found.documents.items():
        ended = [np.concatenate([[end], each, [end]]) for each in pairs.encode_all(documents)]
        rows = pack(ended, length, stride if split == "train" else length)
        contents = {**rows, "bytes": bytes_of[rows["targets"]]}
        splits[split] = sources.arrays(found.name, found.version, split, contents)
    return Splits.of(splits, facts=_facts(pairs).with_facts(end=end))


def _lines(found: Corpus, length: int, size: int) -> Splits:
    lines = {split: sentences.lines(texts) for split, texts in found.documents.items()}
    pairs = bpe(lines["train"], size, sentences.SPECIALS)
    splits: dict[str, Source] = {}
    for split, texts in lines.items():
        contents = {"tokens": sentences.packed(pairs, texts, length, f"the text for {split}")}
        splits[split] = sources.arrays(found.name, found.version, split, contents)
    return Splits.of(splits, facts=_facts(pairs))


def _facts(used: tokenizer.Tokenizer) -> Facts:
    return Facts(tokenizer=tokenizer.to_facts(used), vocabulary=len(used))
