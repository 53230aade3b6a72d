"""What `dlcore predict --out` writes: a folder of files and JSON lines, or one answer's file."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from dlcore.data.own import images
from dlcore.errors import UsageError
from dlcore.export.answers import Answered
from dlcore.samples import PartWriter
from dlcore.samples.parts import SUFFIXES, file_names

RECORDS = "predictions.jsonl"
FILES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


class _Named(PartWriter):
    """Names files after the answer: 0003-cat.png."""

    stem = ""

    def _path(self, suffix: str) -> Path:
        more = f"-{self._count}" if self._count else ""
        self._count += 1
        return self.folder / f"{self.stem}{more}{suffix}"


class Outputs:
    """Writes answers into a new folder: files by `write`, lines of predictions.jsonl by `record`.

    Used as a context manager: it creates the folder on entry, and closes predictions.jsonl on exit.

    Args:
        folder: the folder; None: nothing is written.

    Raises:
        UsageError: on construction, the folder is not empty, or is a file.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder, self._count = folder, 0
        self._file: IO[str] | None = None
        if folder is not None and (folder.is_file() or any(folder.glob("*"))):
            raise UsageError(f"{folder} is there already, and is not overwritten: name another")

    def __enter__(self) -> Outputs:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / RECORDS).open("x", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, each: Answered) -> list[str]:
        """Writes the files of an answer's sample; returns their names, without the folder.

        A name is the number of the answer, from 0, and the stem of its input's file, if any; an
        answer's further files are numbered: 0003-cat.png, 0003-cat-1.png. Without a folder nothing
        is written, and the list is empty.
        """
        if self.folder is None:
            return []
        writer = _Named(self.folder, self._count, each.sample.title)
        writer.stem = f"{self._count:04d}{_suffix(each)}"
        self._count += 1
        return [name for part in each.sample.parts(writer) for name in file_names(part)]

    def record(self, record: Mapping[str, object]) -> None:
        """Adds a line to predictions.jsonl, in the `with` block; without a folder does nothing."""
        if self._file:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")


class OneFile(Outputs):
    """Writes the one file of one answer, such as styled.png, and no predictions.jsonl.

    `write` writes the file; `record` does nothing.

    Args:
        file: the file.

    Raises:
        UsageError: on construction, the file is there already, or its folder is missing.
    """

    def __init__(self, file: Path) -> None:
        if file.exists():
            raise UsageError(f"{file} is there already, and is not overwritten: name another")
        if not file.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {file.parent}: make it, or name another file")
        self._target = file
        super().__init__(None)

    def write(self, each: Answered) -> list[str]:
        """Writes the file of an answer's sample; returns a list of its name, without the folder.

        Raises:
            UsageError: a second answer, or one whose sample is not one file with this ending.
        """
        if self._count:
            raise UsageError(
                f"{self._target} is one file, and there are more answers: name a folder"
            )
        with tempfile.TemporaryDirectory() as folder:
            writer = _Named(Path(folder), 0, each.sample.title)
            writer.stem = "answer"
            names = [name for part in each.sample.parts(writer) for name in file_names(part)]
            suffixes = [Path(name).suffix for name in names]
            if suffixes != [self._target.suffix.lower()]:
                found = ", ".join(suffixes) or "none"
                raise UsageError(
                    f"{self._target} is one file, and the files of this model's answer are {found}:"
                    " name a folder"
                )
            shutil.copyfile(Path(folder) / names[0], self._target)
        self._count += 1
        return [self._target.name]


def outputs(path: Path | None) -> Outputs:
    """Returns `OneFile` for a path with a sample's suffix, such as .png, else `Outputs`.

    Args:
        path: the file or folder to write; None: an `Outputs` that writes nothing.

    Raises:
        UsageError: another suffix of images, such as .jpg.
    """
    if path is not None and path.suffix.lower() in FILES:
        return OneFile(path)
    if path is not None and path.suffix.lower() in images.SUFFIXES and not path.is_dir():
        raise UsageError(f"{path}: pictures are written as .png: name {path.stem}.png, or a folder")
    return Outputs(path)


def _suffix(each: Answered) -> str:
    """The stem of the file that was answered, of letters, digits, dots and dashes."""
    name = each.where.get("file")
    return "" if name is None else "-" + re.sub(r"[^\w.-]", "_", Path(str(name)).stem)[:80]
