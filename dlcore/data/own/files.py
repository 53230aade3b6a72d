"""User files and folders: their texts and splits, with the file and line of each fault."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore.data.own import split_names
from dlcore.data.own.found import SPLITS
from dlcore.errors import UsageError

_JUNK = ("thumbs.db", "desktop.ini")  # what file managers leave in folders
_MARKS = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def visible(folder: Path) -> list[Path]:
    """Lists the contents of a folder by name, without hidden files and those of file managers."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _JUNK
    )


def below(folder: Path) -> list[Path]:
    """Lists all visible files in a folder and its subfolders, sorted by path.

    Links to folders are followed, except to a folder that is being listed already.
    """
    return _below(folder, ())


def _below(folder: Path, above: tuple[str, ...]) -> list[Path]:
    """`above`: the real paths of the folders that are being listed."""
    found, listed = [], (*above, os.path.realpath(folder))
    for path in visible(folder):
        if not path.is_dir():
            found.append(path)
        elif os.path.realpath(path) not in listed:
            found += _below(path, listed)
    return found


def grouped(
    path: Path, suffixes: Sequence[str] = (), strict: bool = True
) -> tuple[dict[str, list[Path]], bool]:
    """Groups the files of a path by split.

    Args:
        path: a file; or a folder of files, also in subfolders, whose splits are folders train,
            validation, test, or files with these names (train.csv, test.csv; train.de, train.en),
            also with capitals. Where it has a folder train, files beside that folder are ignored;
            where it has none, no folder counts as a split, such as test/ in a tree of source code.
        suffixes: of the files that count, such as ".csv", compared in lower case; (): every file.
        strict: whether names that resemble those of splits, such as ner_train.iob and ner_dev.iob
            (`split_names.refuse_likely`), are refused where the path gives no splits.

    Returns:
        {split: files}, all files under "train" where there are no splits; and whether the path
        gives splits.

    Raises:
        UsageError: no such path, no such files, a folder of a split without any, other folders
            beside those of splits, folders validation or test alone or beside one such as training,
            files of splits but none for train, other files beside these, or, if `strict`, names
            that resemble those of splits.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if path.is_file():
        if suffixes and path.suffix.lower() not in suffixes:
            raise UsageError(f"{path} is none of {', '.join(suffixes)}: name such a file")
        return {"train": [path]}, False
    kinds = f" {', '.join(suffixes)}" if suffixes else ""
    if train_folder(path):
        found = {split: _fitting(folder, suffixes) for split, folder in split_folders(path).items()}
        if empty := [split for split, files in found.items() if not files]:
            raise UsageError(f"{path / empty[0]} holds no files{kinds}: put some in, or remove it")
        return found, True
    _refuse_lone(path)
    files = _fitting(path, suffixes)
    if not files:
        raise UsageError(f"{path} holds no files{kinds}: put some in")
    found = _by_name(path, files)
    if not found and strict:
        split_names.refuse_likely(path, files, bool(suffixes))
    return found or {"train": files}, bool(found)


def _refuse_lone(path: Path) -> None:
    """Refuses folders validation and test without a folder train, alone or beside a similar one."""
    folders = [folder.name for folder in visible(path) if folder.is_dir()]
    lone = [name for name in folders if name in SPLITS]
    near = [name for name in folders if name.lower().startswith("train")]
    if lone and (near or len(lone) == len(visible(path))):
        advice = f"rename {near[0]} to train" if near else "add one"
        raise UsageError(f"{path} has a folder {lone[0]} but none called train: {advice}")


def _by_name(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files by split if they are named train, validation and test; {} if none is."""
    named = [file for file in files if file.stem.lower() in SPLITS and file.parent == path]
    stems = {file.stem.lower() for file in named}
    if not any(file.stem in SPLITS for file in named) and not (len(stems) > 1 and "train" in stems):
        return {}  # Test.java without a Train.java is source code
    if others := [file for file in files if file not in named]:
        raise UsageError(
            f"{path} holds {named[0].name} and {others[0].relative_to(path)}: name all files for"
            f" their splits ({', '.join(SPLITS)}), or none"
        )
    found = {split: [file for file in named if file.stem.lower() == split] for split in SPLITS}
    found = {split: files for split, files in found.items() if files}
    if "train" not in found:
        raise UsageError(f"{path} has files for {', '.join(found)}, but none for train: add one")
    return found


def train_folder(path: Path) -> Path | None:
    """Returns the subfolder train; None: there is none.

    Args:
        path: a folder; a file has no subfolders. Train, with capitals, counts beside other folders
            if the names of all stand for splits (`split_names.likely`), such as Test.
    """
    inside = [each for each in visible(path) if each.is_dir()] if path.is_dir() else []
    if len(inside) > 1 and all(split_names.likely(each.name) for each in inside):
        return next((each for each in inside if each.name.lower() == "train"), None)
    return next((each for each in inside if each.name == "train"), None)


def split_folders(path: Path) -> dict[str, Path]:
    """Returns {split: folder} of the subfolders train, validation and test that exist.

    Args:
        path: the folder. The letters of names may have any case.

    Raises:
        UsageError: the folder has any other visible subfolder, even if none of these exists, or two
            for one split, such as test and Test.
    """
    there: dict[str, Path] = {}
    for folder in (each for each in visible(path) if each.is_dir()):
        split = folder.name.lower()
        if split not in SPLITS:
            raise UsageError(
                f"{folder} is a folder beside {train_folder(path) or path / 'train'}: rename it to"
                " validation or test, or put it elsewhere"
            )
        if split in there:
            raise UsageError(f"{there[split]} and {folder} are both of the {split} split: keep one")
        there[split] = folder
    return {split: there[split] for split in SPLITS if split in there}


def _fitting(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [file for file in below(folder) if not suffixes or file.suffix.lower() in suffixes]


def text(path: Path) -> str:
    """Reads a text file in UTF-8, without a byte order mark.

    Raises:
        UsageError: the file cannot be read, or another encoding; the message has line and byte.
    """
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def decoded(content: bytes, name: str) -> str:
    """Decodes the content of a text file in UTF-8, without a byte order mark.

    Args:
        content: all of it.
        name: of the file in messages.

    Raises:
        UsageError: another encoding; the message has line and byte.
    """
    way = "save it as UTF-8"
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise UsageError(f"{name}, line 1: the file is {encoding}, not UTF-8: {way}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (3 if content.startswith(codecs.BOM_UTF8) else 0)
        line = content.count(b"\n", 0, at) + 1
        raise UsageError(
            f"{name}, line {line}: byte {at} of the file (0x{content[at]:02x}) is not UTF-8: {way}"
            " (Latin-1 or Windows-1252 are likely: iconv -f WINDOWS-1252 -t UTF-8)"
        ) from error


def parse(content: str) -> Any:
    """Parses JSON.

    Raises:
        ValueError: no JSON, with its `lineno`; or nested more deeply than Python can parse.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        error.args = (f"not JSON ({error})",)
        raise
    except RecursionError as error:
        raise ValueError("lists or objects are nested too deeply: flatten them") from error


def first_object(path: Path) -> dict[str, Any]:
    """Returns the first line of a text file that is a JSON object, parsed; without one, {}.

    Raises:
        UsageError: as `text`.
    """
    for line in lines(path):
        try:
            found = parse(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def refuse_split(record: Mapping[str, object]) -> None:
    """Raises UsageError if a line of JSON names its split, where only names of files do."""
    if "split" in record:
        raise UsageError(
            "`split` is not read of such lines: give files train.jsonl, validation.jsonl and"
            " test.jsonl, or leave it out"
        )


def beginning(path: Path) -> list[str]:
    """Reads the lines in the first 64 KiB of a file, whatever its encoding; the last may be cut."""
    with path.open("rb") as opened:
        return opened.read(1 << 16).decode("utf-8-sig", "replace").split("\n")


def lines(path: Path) -> list[str]:
    r"""Reads the lines of a text file, without line ends.

    Lines end at "\n" or "\r\n" alone.

    Raises:
        UsageError: as `text`.
    """
    found = text(path).replace("\r\n", "\n").split("\n")
    return found[:-1] if found[-1] == "" else found
