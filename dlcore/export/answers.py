"""The answers of a run's model to files and lines, a batch at a time through one program."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dlcore.data.own import table_files
from dlcore.data.own.files import below
from dlcore.data.tokens import without_surrogates
from dlcore.errors import UsageError
from dlcore.samples import Sample
from dlcore.train.predictor import Predictor, column, in_file, reads
from dlcore.train.step import State

BATCH = 64  # items of a program at most


# what names an input in JSON: "file", "line", "item", "number", or "inputs", several files
Where = dict[str, str | int | list[str]]


class Input(NamedTuple):
    """An input of a model: files, a line of text, or a Python value.

    Attributes:
        name: identifies it in messages, such as a path.
        where: identifies it in the JSON output, such as {"file": path, "line": number}.
        files: the files; () if it is not made of files.
        text: the line; None if it is not a text.
        value: the Python value; None if it is not one.
    """

    name: str
    where: Where
    files: tuple[Path, ...] = ()
    text: str | None = None
    value: object = None


class Unread(NamedTuple):
    """A message that an input, or one row of a file, could not be read.

    Attributes:
        input: the input; for a faulty row the file, whose rows without faults are answered all the
            same (with faulty quotes in .csv only those before them): one `Unread` per faulty row.
        error: the message for the user; for a faulty row it names the line.
    """

    input: Input
    error: str


class Answered(NamedTuple):
    """The answer to one item of an input.

    Attributes:
        name: identifies the item in messages and printed answers.
        where: identifies it in the JSON output, as of `Input`.
        answer: what the model answers, as JSON values.
        sample: the answer for a person; `dlcore predict --out` writes its files.
    """

    name: str
    where: Where
    answer: Mapping[str, object]
    sample: Sample


class _Item(NamedTuple):
    name: str
    where: Where
    item: object


def files_of(
    paths: Sequence[Path], in_folder: Callable[[Path], list[Path]] | None = None
) -> list[Path]:
    """Lists the files that paths name.

    Args:
        paths: files and folders.
        in_folder: (folder) -> the files to read; None: all files in it and below it, sorted by
            path (`own.files.below`).

    Returns:
        Files in the order of `paths`: each named file, hidden or not, and those of each folder.

    Raises:
        UsageError: a path does not exist; or, without `in_folder`, a folder has no files.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and in_folder is not None:
            found += in_folder(path)
        elif path.is_dir():
            inside = [each for each in below(path) if each.is_file()]
            if not inside:
                raise UsageError(f"the folder {path} has no files")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"{path}: nothing is there; name a file, a folder of files, or -")
    return found


def inputs_of(paths: Sequence[Path], per_item: int) -> list[Input]:
    """Groups files into inputs of `per_item` files each, in their order.

    Args:
        paths: files; none is opened here.
        per_item: number of files per input, 1 or more.

    Raises:
        UsageError: the number of files is not divisible by `per_item`.
    """
    if len(paths) % per_item:
        raise UsageError(
            f"this model takes {per_item} files at a time, and there are {len(paths)}: name"
            f" {per_item}, or a multiple of that"
        )
    if per_item == 1:
        return [Input(str(path), {"file": str(path)}, (path,)) for path in paths]
    groups = [tuple(paths[i : i + per_item]) for i in range(0, len(paths), per_item)]
    names = [[str(path) for path in group] for group in groups]
    return [
        Input(", ".join(named), {"inputs": named}, group)
        for named, group in zip(names, groups, strict=True)
    ]


def inputs_in(predictor: Predictor, path: Path) -> Iterator[Input | Unread]:
    """Yields the inputs in a file for a predictor of lines: by its `in_file`, else `lines_of`.

    Args:
        predictor: reads "lines".
        path: the file.

    Yields:
        An `Input` for each; an `Unread` for a file that cannot be read, and after all inputs for
        each fault.
    """
    own = Unread(Input(str(path), {"file": str(path)}, (path,)), "")
    problems: list[str] = []
    try:
        found = in_file(predictor, path, problems)
        if found is None:
            yield from lines_of(path, column(predictor))
            return
        for line, value in found:
            yield Input(f"{path}:{line}", {"file": str(path), "line": line}, value=value)
    except UsageError as error:
        problems.append(str(error))
    yield from (own._replace(error=problem) for problem in problems)


def lines_of(path: Path, column: str = "text") -> Iterator[Input | Unread]:
    """Yields the lines of a text file that are not blank, with their line numbers in the file.

    Of a table (.csv, .tsv) and of JSON lines (.jsonl) it yields the cells of one column. All lines
    of a file are counted from 1, empty ones and a table's header included.

    Args:
        path: the file; its suffix alone decides whether it is a table.
        column: name of the column of a table, or key of a JSON line; other columns are not read.
            Ignored for other files.

    Yields:
        An `Input` per line or row, its text without the line end; and an `Unread` for a file that
        cannot be read or is .json, for a table that is not UTF-8 or lacks the column (.csv, .tsv),
        and for the first line of another file that is not UTF-8, which ends the iteration. For each
        faulty row, such as one with an empty cell in the column, an `Unread` follows after all
        inputs.
    """
    if path.suffix.lower() in table_files.TABLES:
        yield from _cells_of(path, column)
        return
    if path.suffix.lower() == ".json":
        source = Input(str(path), {"file": str(path)}, (path,))
        yield Unread(source, "a .json file is no file of lines: write an object a line, as .jsonl")
        return
    try:
        with path.open("rb") as file:
            yield from lines_in(file, lambda line: f"{path}:{line}", {"file": str(path)})
    except OSError as error:
        yield Unread(Input(str(path), {"file": str(path)}, (path,)), str(error.strerror))


def lines_in(
    stream: Iterable[bytes], name: Callable[[int], str], where: Where
) -> Iterator[Input | Unread]:
    """Yields the lines of a stream that are not blank, without line ends and byte order mark.

    Args:
        stream: lines with their ends, such as a binary file.
        name: number of a line, from 1 -> its name in messages.
        where: of each `Input`, besides "line".

    Yields:
        An `Input` per line; an `Unread` for the first line that is not UTF-8, which ends the
        iteration.
    """
    for number, line in enumerate(stream, start=1):
        whole = Input(name(number), {**where, "line": number})
        try:
            text = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            yield Unread(
                whole,
                f"it is no text in UTF-8 ({error}), and neither it nor what follows is read:"
                " convert it to UTF-8",
            )
            return
        if (text := text.rstrip("\r\n")).strip():
            yield whole._replace(text=text)


def _cells_of(path: Path, column: str) -> Iterator[Input | Unread]:
    whole, problems = Input(str(path), {"file": str(path)}, (path,)), list[str]()
    try:
        rows = table_files.rows(path, [column], [], problems)
    except UsageError as error:
        yield Unread(whole, str(error))
        return
    for row in rows:
        line = int(row.where.rpartition(" ")[2])
        yield Input(f"{path}:{line}", {"file": str(path), "line": line}, text=row.values[0])
    for problem in problems:
        yield Unread(whole, problem)


def answers(
    predictor: Predictor,
    state: State,
    inputs: Iterable[Input | Unread],
    batch: int = BATCH,
) -> Iterator[Answered | Unread]:
    """Yields the answers in the order of the inputs; `Unread` for one that the predictor refuses.

    An input may have several items, such as the rows of a table, and each item gets an answer; if
    there are several, the answer's `name` ends in ":N" and `where` has {"item": N}, from 1. Inputs
    are read as needed, `batch` items at a time. All batches have one size, so that one program is
    compiled: the number of items of the first batch, rounded up to a power of two, but at most
    `batch`. The last batch is padded by repeating its last item.

    Args:
        predictor: reads inputs and answers items.
        state: the model's state, with trained parameters.
        inputs: files, lines or Python values; an `Unread` is yielded unchanged.
        batch: largest number of items of a batch.

    Yields:
        An `Answered` for each item; an `Unread` in place of an input that is refused.
    """
    size = 0
    pending: list[_Item | Unread] = []
    read = itertools.chain.from_iterable(_read(predictor, each) for each in inputs)
    for ended, entry in _until_end(read):
        pending += [] if entry is None else [entry]
        count = sum(isinstance(each, _Item) for each in pending)
        if not ended and count < batch:
            continue
        size = size or min(batch, 1 << max(0, count - 1).bit_length())
        yield from _answered(predictor, state, pending, size)
        pending = []


def _until_end(entries: Iterator[_Item | Unread]) -> Iterator[tuple[bool, _Item | Unread | None]]:
    """Each entry, and one sign of the end."""
    for entry in entries:
        yield False, entry
    yield True, None


def _read(predictor: Predictor, source: Input | Unread) -> list[_Item | Unread]:
    """The items of an input, several for a file such as a table."""
    if isinstance(source, Unread):
        return [source]
    try:
        if source.value is not None:
            found = [_item(predictor, source.value)]
        else:
            texts = [] if source.text is None else [without_surrogates(source.text)]
            found = predictor.items(source.files, texts)
    except UsageError as error:
        return [Unread(source, str(error))]
    if len(found) == 1 and not isinstance(found[0], UsageError):
        return [_Item(source.name, source.where, found[0])]
    return [
        Unread(source, str(item))
        if isinstance(item, UsageError)
        else _Item(f"{source.name}:{number}", {**source.where, "item": number}, item)
        for number, item in enumerate(found, start=1)
    ]


def _item(predictor: Predictor, value: object) -> object:
    read = getattr(predictor, "item", None)
    if not callable(read):
        kind = "text" if reads(predictor) == "lines" else "paths of files"
        raise UsageError(f"this model takes {kind}, and no {type(value).__name__}")
    return read(value)


def _answered(
    predictor: Predictor, state: State, entries: Sequence[_Item | Unread], size: int
) -> Iterator[Answered | Unread]:
    items = [each.item for each in entries if isinstance(each, _Item)]
    padded = [*items, *items[-1:] * (size - len(items))]
    made = iter(predictor.batch(state, padded)[: len(items)] if items else ())
    for each in entries:
        if isinstance(each, Unread):
            yield each
        else:
            answer, sample = next(made)
            yield Answered(each.name, each.where, answer, sample)
