"""Corpora as memory-mapped files of tokens, which `dlcore prepare text` writes.

A folder holds facts.json (the tokenizer, and the files of each split with their checksums) and
files of tokens, uint16 or uint32, little-endian. Nothing is loaded: a batch reads its own windows.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.data import cache, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.source import Batch, Info, Source
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError

FACTS = "facts.json"
KIND = "dlcore tokens"
FORMAT = 1
VERSION = "own"
MOST_WINDOWS = 1 << 24  # of a training split: an epoch's order takes 4 bytes for each
_BLOCK = 16 << 20  # bytes that a checksum reads at a time
_WAY = "prepare it again with `dlcore prepare text`"


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a split, in memory-mapped files; `len` is their number.

    Attributes:
        files: {path: number of tokens}, in their order.
        dtype: of the files, uint16 or uint32.
    """

    files: Mapping[Path, int]
    dtype: np.dtype

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum([*self.files.values()])])

    @functools.cached_property
    def _maps(self) -> list[np.ndarray]:
        return [np.memmap(path, self.dtype, "r") for path in self.files]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, stop: int) -> Int32[np.ndarray, " _"]:
        """Returns the tokens from `start` to `stop` - 1, or as many of them as there are, int32."""
        stop, parts = min(stop, len(self)), []
        while start < stop:
            shard = int(np.searchsorted(self._starts, start, "right")) - 1
            first = int(self._starts[shard])
            part = self._maps[shard][start - first : stop - first]
            parts.append(part.astype(np.int32))
            start += len(part)
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class TokenWindows:
    """Windows of tokens on disk.

    A batch has `tokens`, `targets` (the same window one token later) and `weight`, each [rows,
    length]. A last window that extends beyond the end is padded with 0, and `weight` is 0 where the
    target is padding, else 1. With `end`, a row can hold parts of several documents, and a batch
    also has, [rows, length] each: `segment`, the number of a token's document within the row (from
    1; 0: padding), by which models keep attention within documents; `position`, counted from the
    start of the segment; and `bytes`, the number of bytes of each target.

    Attributes:
        tokens: of the split.
        length: tokens of a window.
        stride: distance of the starts of consecutive windows, in tokens.
        info: name, version, split, fingerprint and number of windows of the data.
        end: the separator token, which precedes each document and starts its segment; None: one
            running text, without segments.
        bytes_of: number of bytes of each token, float32 [vocabulary]; with `end`.
    """

    tokens: Tokens
    length: int
    stride: int
    info: Info
    end: int | None = None
    bytes_of: np.ndarray | None = None

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Reads the windows `index`, int [rows].

        Returns:
            `tokens`, `targets` int32 and `weight` float32, each [rows, length]; with `end` also
            `segment`, `position` int32 and `bytes` float32, see `TokenWindows`.
        """
        rows = np.zeros((len(index), self.length + 1), np.int32)
        inside = np.zeros(rows.shape, bool)
        for row, i in enumerate(index):
            start = int(i) * self.stride
            found = self.tokens.read(start, start + self.length + 1)
            rows[row, : len(found)], inside[row, : len(found)] = found, True
        weight = inside[:, 1:].astype(np.float32)
        batch = {"tokens": rows[:, :-1], "targets": rows[:, 1:], "weight": weight}
        if self.end is None or self.bytes_of is None:
            return batch
        starts = rows[:, :-1] == self.end
        segment = np.cumsum(starts, 1) + ~starts[:, :1]
        columns = np.arange(self.length)
        position = columns - np.maximum.accumulate(np.where(starts, columns, 0), 1)
        return {
            **batch,
            "segment": np.where(weight > 0, segment, 0).astype(np.int32),
            "position": np.where(weight > 0, position, 0).astype(np.int32),
            "bytes": self.bytes_of[batch["targets"]],
        }


def is_one(path: Path) -> bool:
    """Returns whether a path is a folder that `dlcore prepare text` has written."""
    try:
        return path.is_dir() and json.loads((path / FACTS).read_text("utf-8"))["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads the facts of a folder of tokens, and checks the sizes of its files.

    Checksums are verified by `verify` alone.

    Returns:
        facts.json: `tokenizer`, `vocabulary` (number of tokens), `end` (index of the separator
        token, or None), `dtype`, and `splits`, {split: {"documents", "tokens": their numbers,
        "sha256", "files": a list of {"name", "tokens", "crc32"}}}.

    Raises:
        UsageError: damaged facts, another format, or a file that is missing or has another size.
    """
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']}, and this version reads {FORMAT}")
        width = np.dtype(facts["dtype"]).itemsize
        tokenizer.from_facts(facts["tokenizer"])
        for shards in facts["splits"].values():
            for shard in shards["files"]:
                size = (folder / shard["name"]).stat().st_size
                if size != shard["tokens"] * width:
                    raise ValueError(
                        f"{shard['name']} has {size} bytes, not {shard['tokens'] * width}"
                    )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise UsageError(f"{folder} holds no valid tokens ({error}): {_WAY}") from error
    return dict(facts)


def verify(folder: Path, facts: Mapping[str, Any]) -> None:
    """Verifies the checksums of all files of tokens.

    A verified file is noted in the cache, and is not read again until its path, size, time of
    change or checksum in the facts differs.

    Args:
        folder: the folder of tokens.
        facts: from `read_facts`.

    Raises:
        UsageError: a file has another checksum than it was written with.
    """
    for shards in facts["splits"].values():
        for shard in shards["files"]:
            file = folder / shard["name"]
            stat = file.stat()
            state = [str(file.resolve()), stat.st_size, stat.st_mtime_ns, shard["crc32"]]
            digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]
            verified = cache.folder() / "tokens" / digest
            if verified.exists():
                continue
            if checksum(file) != shard["crc32"]:
                raise UsageError(f"{file} has another checksum than it was written with: {_WAY}")
            try:
                verified.parent.mkdir(parents=True, exist_ok=True)
                verified.touch()
            except OSError:  # it is then verified each time
                continue


def checksum(file: Path) -> int:
    """Returns the CRC-32 of a file."""
    value = 0
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def tokens_of(folder: Path, facts: Mapping[str, Any], split: str) -> Tokens:
    """Returns the tokens of a split.

    Args:
        folder: the folder of tokens.
        facts: from `read_facts`.
        split: one of `facts["splits"]`.
    """
    files = {folder / each["name"]: each["tokens"] for each in facts["splits"][split]["files"]}
    return Tokens(files, np.dtype(facts["dtype"]))


def load(
    folder: Path,
    length: int,
    *,
    documents: bool = False,
    overlap: int = 1,
    vocabulary: int | None = None,
) -> Splits:
    """Opens a folder of tokens as windows, after its checksums are verified.

    Args:
        folder: what `dlcore prepare text` has written.
        length: tokens of a window.
        documents: whether batches have `segment`, `position` and `bytes`, by which models keep
            attention within documents; needs a tokenizer of byte pairs.
        overlap: with documents, windows for training start length // overlap tokens apart. Without
            documents they start at every token, or farther apart where these are more than
            `MOST_WINDOWS`, and `overlap` is not used. Windows of other splits do not overlap.
        vocabulary: size of the vocabulary that the model expects; None: any.

    Returns:
        Splits of `TokenWindows`; `facts` has `tokenizer`, `vocabulary`, `stride` of the windows for
        training, and with documents `end`.

    Raises:
        UsageError: damaged files, another vocabulary, a tokenizer without byte pairs for documents,
            or too few tokens for a window.
    """
    facts = read_facts(folder)
    verify(folder, facts)
    if vocabulary is not None and vocabulary != facts["vocabulary"]:
        raise UsageError(
            f"the tokens of {folder} are of a vocabulary of {facts['vocabulary']}, and the model"
            f" expects {vocabulary}: choose --vocabulary {facts['vocabulary']}, or prepare the"
            f" texts with --tokenizer bpe:{vocabulary}"
        )
    used = tokenizer.from_facts(facts["tokenizer"])
    end, more = None, {}
    if documents:
        if not isinstance(used, Subwords):
            raise UsageError(
                f"the tokens of {folder} have none between documents, which this experiment needs:"
                " prepare the texts with --tokenizer bpe"
            )
        end, more = facts["end"], {"end": facts["end"]}
    bytes_of = used.bytes().astype(np.float32) if documents else None
    made: dict[str, Source] = {}
    for split in facts["splits"]:
        tokens = tokens_of(folder, facts, split)
        stride = length
        if split == "train":
            apart = max(1, length // overlap)
            stride = apart if documents else min(length, -(-len(tokens) // MOST_WINDOWS))
            more |= {"stride": stride}
        info = _info(folder, facts, split, len(tokens), length, stride)
        made[split] = TokenWindows(tokens, length, stride, info, end, bytes_of)
    return Splits.of(
        made, facts=Facts(tokenizer=facts["tokenizer"], vocabulary=facts["vocabulary"], **more)
    )


def _info(
    folder: Path, facts: Mapping[str, Any], split: str, count: int, length: int, stride: int
) -> Info:
    if count <= length:
        raise UsageError(
            f"{folder} has {count} tokens for {split}, too few for a row of {length} and its next"
            " token: give more text, or take shorter rows"
        )
    full = (count - 1 - length) // stride + 1
    incomplete = (full - 1) * stride + length < count - 1
    examples = full + incomplete
    contents = json.dumps([facts["splits"][split]["sha256"], facts["tokenizer"], length, stride])
    digest = hashlib.sha256(contents.encode()).hexdigest()
    return Info(folder.resolve().name, VERSION, split, digest, examples)
