"""`dlcore prepare text`: texts of any size as memory-mapped files of tokens.

Files are read and encoded in blocks that end at line ends, so that a corpus may be larger than
memory; `dlcore.data.token_shards` describes what is written.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dlcore.data import tokenizer
from dlcore.data.characters import Bytes, Vocabulary
from dlcore.data.own import files
from dlcore.data.own.corpus import TRAINING
from dlcore.data.own.found import SPLITS
from dlcore.data.token_shards import FACTS, FORMAT, KIND
from dlcore.data.tokenizer import Tokenizer
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError

END = "<|end|>"  # the special token of byte pairs before and after each document
SEPARATOR = "\n\n"  # between documents of the other tokenizers
SHARD = 1 << 27  # tokens of a file
VOCABULARY = 8192  # of byte pairs
_BLOCK = 1 << 20  # characters that are encoded at a time
_LONGEST = 16  # blocks of a text without such line ends, which is then cut anywhere

# A document: a file with the characters of it that belong to a split.
Document = tuple[Path, int, int]


def prepare(
    paths: Sequence[Path],
    kind: str,
    out: Path,
    shard: int = SHARD,
    say: Callable[[str], None] = print,
) -> Path:
    """Writes texts as files of tokens.

    Args:
        paths: text files in UTF-8, and folders of them; a file is a document. Splits are folders or
            files train, validation and test of a folder; where no validation is given, it is the
            last tenth of each file of train, from the start of a line where possible.
        kind: "bytes", "characters", "bpe" (of `VOCABULARY` tokens) or "bpe:SIZE"; byte pairs are
            learned from the training split, characters are those of all splits.
        out: the folder to write, which must not exist; its parents are made.
        shard: largest number of tokens in a file that is written.
        say: is called with each message of progress.

    Returns:
        `out`.

    Raises:
        UsageError: no files, none for train, a file that is empty or not UTF-8 (with the line), an
            unknown tokenizer, a vocabulary that is too small for bytes or too large for the texts,
            or `out` exists.
    """
    name, size = _kind(kind)
    if out.exists():
        raise UsageError(f"{out} exists: name a new folder, or remove it")
    documents = _divided(paths)
    counts = {split: len(each) for split, each in documents.items()}
    say("texts: " + ", ".join(f"{split} {count:,}" for split, count in counts.items()))
    used = _tokenizer(name, size, documents)
    say(f"tokenizer: {kind}, a vocabulary of {len(used):,}")
    building = out.parent / f".{uuid.uuid4().hex}.building"
    building.mkdir(parents=True)
    try:
        facts: dict[str, Any] = {
            "kind": KIND,
            "format": FORMAT,
            "tokenizer": tokenizer.to_facts(used),
            "vocabulary": len(used),
            "end": used.special(END) if isinstance(used, Subwords) else None,
            "dtype": "<u2" if len(used) <= 1 << 16 else "<u4",
            "splits": {},
        }
        for split, each in documents.items():
            blocks = _encoded(used, each)
            written = _write(building, split, blocks, np.dtype(facts["dtype"]), shard)
            facts["splits"][split] = {"documents": len(each), **written}
            say(f"{split}: {written['tokens']:,} tokens")
        (building / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out


def _kind(kind: str) -> tuple[str, int]:
    name, colon, size = kind.partition(":")
    if name not in ("bytes", "characters", "bpe") or (colon and name != "bpe"):
        raise UsageError(
            f"{kind!r} is no tokenizer: choose bytes, characters, bpe, or bpe:SIZE with the size of"
            " its vocabulary"
        )
    if colon and not re.fullmatch(r"[1-9]\d{0,6}", size):
        raise UsageError(f"{kind!r}: the size of a vocabulary is a number, as in bpe:{VOCABULARY}")
    return name, int(size) if colon else VOCABULARY


def _divided(paths: Sequence[Path]) -> dict[str, list[Document]]:
    """The documents of each split."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        for split, each in files.grouped(path)[0].items():
            found.setdefault(split, []).extend(each)
    sizes = {file: _characters(file) for each in found.values() for file in each}
    if "train" not in found:
        raise UsageError(f"{paths[0]} has no texts for train: add some")
    whole = {split: [(f, 0, sizes[f]) for f in found[split]] for split in SPLITS if split in found}
    if "validation" in found:
        return whole
    cuts = {file: _cut(file, sizes[file]) for file in found["train"]}
    order = {
        "train": [(file, 0, cut) for file, cut in cuts.items()],
        "validation": [(file, cut, sizes[file]) for file, cut in cuts.items()],
    }
    return {**order, **{split: each for split, each in whole.items() if split != "train"}}


def _characters(file: Path) -> int:
    """The number of characters of a file. UsageError: it is empty, or not UTF-8."""
    count, text = 0, False
    for block in _blocks(file):
        count, text = count + len(block), text or bool(block.strip())
    if not text:
        raise UsageError(f"{file} holds no text: remove it")
    return count


def _cut(file: Path, size: int) -> int:
    """Where the last tenth of a file starts: as `own.corpus` cuts it, at the start of a line."""
    at, start = int(TRAINING * size), 0
    for block in _blocks(file):
        line = block.find("\n", max(at - start, 0)) if start + len(block) > at else -1
        if line >= 0:
            return start + line + 1 if start + line + 1 < size else at
        start += len(block)
    return at


def _blocks(file: Path, start: int = 0, stop: int | None = None) -> Iterator[str]:
    r"""The characters start..stop of a file, in blocks of about `_BLOCK`; "\r\n" is one, "\n".

    A block ends after a line end between two characters that are no white space, where it has one:
    there every tokenizer cuts, so that blocks give the tokens of the whole. A text without such
    line ends is cut at `_LONGEST` blocks.
    """
    position, rest = 0, ""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            while content := opened.read(_BLOCK):
                while content.endswith("\r") and (more := opened.read(1)):
                    content += more  # "\r\n" is in one block
                content = content.replace("\r\n", "\n")
                first = max(start - position, 0)
                last = len(content) if stop is None else max(min(stop - position, len(content)), 0)
                position += len(content)
                rest += content[first:last]
                cut = _line_end(rest) or (len(rest) if len(rest) >= _LONGEST * _BLOCK else 0)
                if cut:
                    yield rest[:cut]
                    rest = rest[cut:]
                if stop is not None and position >= stop:
                    break
    except UnicodeDecodeError:
        files.text(file)  # its message has the line
        raise
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if rest:
        yield rest


def _line_end(text: str) -> int:
    """Where the last line ends that is between two characters that are no white space; 0: none."""
    at = text.rfind("\n", 0, len(text) - 1)
    while at > 0:
        if not text[at - 1].isspace() and not text[at + 1].isspace():
            return at + 1
        at = text.rfind("\n", 0, at)
    return 0


def _tokenizer(name: str, size: int, documents: dict[str, list[Document]]) -> Tokenizer:
    if name == "bytes":
        return Bytes()
    if name == "bpe":
        train = (block for document in documents["train"] for block in _blocks(*document))
        return bpe(train, size, [END])
    every = [document for each in documents.values() for document in each]
    symbols = {symbol for document in every for block in _blocks(*document) for symbol in block}
    if any(len(each) > 1 for each in documents.values()):
        symbols |= set(SEPARATOR)
    return Vocabulary("".join(sorted(symbols)))


def _encoded(used: Tokenizer, documents: Sequence[Document]) -> Iterator[np.ndarray]:
    """The tokens of a split, in blocks: documents with what stands between them."""
    end = np.array([used.special(END)]) if isinstance(used, Subwords) else None
    for number, document in enumerate(documents):
        if end is not None:
            yield end
        elif number:
            yield used.encode(SEPARATOR)
        blocks = _blocks(*document)
        while some := list(itertools.islice(blocks, 8)):
            yield from (
                used.encode_all(some) if isinstance(used, Subwords) else map(used.encode, some)
            )
    if end is not None:
        yield end


def _write(
    folder: Path, split: str, blocks: Iterator[np.ndarray], dtype: np.dtype, shard: int
) -> dict[str, Any]:
    """Writes the files of a split; returns what facts.json says of them."""
    digest, written = hashlib.sha256(), list[dict[str, Any]]()
    rest = np.zeros(0, dtype)
    more = True
    while more:
        name = f"{split}-{len(written):05d}.bin"
        with (folder / name).open("wb") as file:
            count, checksum = 0, 0
            while count < shard:
                if not len(rest):
                    block = next(blocks, None)
                    if block is None:
                        more = False
                        break
                    rest = block.astype(dtype)
                part, rest = rest[: shard - count], rest[shard - count :]
                checksum = _append(file, part, checksum, digest)
                count += len(part)
        if count or not written:
            written.append({"name": name, "tokens": count, "crc32": checksum})
        else:  # the last file was full
            (folder / name).unlink()
    tokens = sum(each["tokens"] for each in written)
    return {"tokens": tokens, "sha256": digest.hexdigest(), "files": written}


def _append(file: BinaryIO, part: np.ndarray, checksum: int, digest: hashlib._Hash) -> int:
    """Writes tokens; returns the CRC-32 of the file so far."""
    content = part.tobytes()
    file.write(content)
    digest.update(content)
    return zlib.crc32(content, checksum)


def main(words: Sequence[str]) -> int:
    """Runs `dlcore prepare text`, prints the folder of the tokens, and returns the exit code 0.

    Args:
        words: the command line after `dlcore prepare text`.

    Raises:
        UsageError: as `prepare`.
    """
    parser = argparse.ArgumentParser(
        prog="dlcore prepare text",
        description="Write texts as memory-mapped tokens, which --data of language models reads.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER", help="texts in UTF-8")
    parser.add_argument(
        "--tokenizer",
        default="bpe",
        help=f"bytes, characters, or bpe[:SIZE of the vocabulary] (bpe, of {VOCABULARY})",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder")
    options = parser.parse_args(words)
    folder = prepare(options.paths, options.tokenizer, options.out)
    print(f"written to {folder}: dlcore train gpt_tiny_shakespeare --data {folder}")
    return 0
