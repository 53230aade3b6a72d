"""Protocols of predictors, which answer a user's files or texts, and of generators of examples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from dlcore.bounds import Dataclass
from dlcore.samples import Sample
from dlcore.train.step import State

Answer = tuple[Mapping[str, object], Sample]
"""Plain JSON for programs, and a sample that shows it to a person."""

P = TypeVar("P")
Anyone = TypeVar("Anyone", bound="Predictor | Generator")


@runtime_checkable
class Predictor(Protocol):
    """Answers files or lines of text: `dlcore predict RUN FILES`.

    `options` is a dataclass whose fields become flags of `dlcore predict`; `with_options` replaces
    it by the flags that the user gave.

    A predictor may have further members:
        reads: "files" (the default), "lines", "table" or "texts". With "lines", text files, `-` and
            `--text` are passed to `items` as text, one line at a time, and no files are. With
            "table" files are passed as files, and `-` and all texts after `--text` as one text;
            with "texts" each text after `--text` is one of its own.
        takes: what to name on the command line, in words, where `reads` does not say it: "name JSON
            lines ..." is shown where nothing to answer was named.
        column: with "lines" the column of a table that is read ("text" by default).
        in_file(file, problems) -> [(line, value), ...] or None: with "lines" the items of a file in
            a form of its own, such as CoNLL columns: the number of an item's first line, and what
            `item` converts. Messages of faults are appended to `problems`. None: the file has lines
            of text, or is a table of them.
        files_per_item: number of files that make one item, such as 2 where two images are
            compared; `items` is then called with as many files at a time.
        takes_messages: whether an item may be a dialogue, a list of messages: a list of mappings is
            then one value for `item`.
        in_folder(folder) -> paths: the items of a folder that the user names, files or folders, of
            which one may be in several items. By default all files in it and below it.
        line(answer) -> str: formats an answer. By default its names and values.
        item(value) -> item: converts a Python value such as an array, for `dlcore.load`. It raises
            UsageError for any other value, such as an array of several examples.
        with_results(results) -> predictor: a copy that knows the results of its run, {split:
            {metric: value}}, such as a threshold that was chosen on validation.
    """

    @property
    def options(self) -> Dataclass:
        """Flags of `dlcore predict` and their defaults."""

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Any]:
        """Reads items from files or lines of text; each item gets one answer.

        Called with one file (or `files_per_item` files), or with one text, at a time: a line where
        `reads` is "lines", all lines together where it is "table". A file or a text may have
        several items, such as the rows of a table. In place of an item that cannot be read there
        may be the UsageError that says why: the others are answered all the same.

        Args:
            files: paths; empty where text is given.
            text: one text; empty where files are given.

        Raises:
            UsageError: something cannot be read.
        """

    def batch(self, state: State, items: Sequence[Any]) -> list[Answer]:
        """Answers a batch of items.

        The caller gives all batches of a command the same number of items, so that one program is
        compiled: it pads the last batch by repeating its last item, and drops the answers to these.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            One answer per item, in their order; also to repeated ones.
        """


@runtime_checkable
class Generator(Protocol):
    """Generates examples from a seed: `dlcore predict RUN --count N`."""

    @property
    def options(self) -> Dataclass:
        """Flags of `dlcore predict` and their defaults, such as `seed`."""

    def generated(self, state: State, count: int) -> list[Answer]:
        """Generates examples.

        Args:
            state: trained parameters.
            count: number of examples, at least 1.

        Returns:
            One answer per example.

        Raises:
            UsageError: options that do not fit the model.
        """


def each_once(answer: Callable[[P], Answer], items: Sequence[P]) -> list[Answer]:
    """Answers items one by one, such as images of different sizes, and each object only once.

    The last batch of a command is padded by repeating its last item.

    Args:
        answer: item -> its answer.
        items: of a batch.
    """
    done: dict[int, Answer] = {}
    for each in items:
        if id(each) not in done:
            done[id(each)] = answer(each)
    return [done[id(each)] for each in items]


def with_options(predictor: Anyone, options: Dataclass) -> Anyone:
    """Returns a copy of a predictor whose attribute `options` is replaced."""
    if dataclasses.is_dataclass(predictor) and not isinstance(predictor, type):
        return dataclasses.replace(predictor, options=options)
    made = copy.copy(predictor)
    setattr(made, "options", options)  # noqa: B010 - the protocol has a property
    return made


def with_results(predictor: P, results: Mapping[str, Mapping[str, float]]) -> P:
    """Calls a predictor's `with_results`; a predictor without this method is returned itself.

    Args:
        predictor: the predictor.
        results: of its run, {split: {metric: value}}.
    """
    takes = getattr(predictor, "with_results", None)
    return takes(results) if callable(takes) else predictor


def reads(predictor: Predictor | Generator) -> str:
    """Returns what a predictor reads: "files", "lines", a "table" or "texts"."""
    return str(getattr(predictor, "reads", "files"))


def takes(predictor: Predictor | Generator) -> str | None:
    """Returns a predictor's `takes`, what to name on the command line; None: it has none."""
    return getattr(predictor, "takes", None)


def column(predictor: Predictor | Generator) -> str:
    """Returns the column of tables and JSON lines that a predictor of lines reads."""
    return str(getattr(predictor, "column", "text"))


def in_file(
    predictor: Predictor | Generator, file: Path, problems: list[str]
) -> Iterable[tuple[int, object]] | None:
    """Returns what the predictor's `in_file` returns; None: it has none."""
    read = getattr(predictor, "in_file", None)
    return read(file, problems) if callable(read) else None


def files_per_item(predictor: Predictor | Generator) -> int:
    """Returns the number of files that make one item of a predictor."""
    return int(getattr(predictor, "files_per_item", 1))


def takes_messages(predictor: Predictor | Generator) -> bool:
    """Returns a predictor's `takes_messages`; False: it has none."""
    return bool(getattr(predictor, "takes_messages", False))


def in_folder(predictor: Predictor | Generator) -> Callable[[Path], list[Path]] | None:
    """Returns the predictor's function that lists the items of a folder; None: it has none."""
    return getattr(predictor, "in_folder", None)


def readable(predictor: Predictor | Generator, answer: Mapping[str, object]) -> str:
    """Formats an answer as text: by the predictor's `line`, else as "NAME VALUE  NAME VALUE".

    Where the answer has one value only, it is formatted without its name.
    """
    if callable(line := getattr(predictor, "line", None)):
        return str(line(answer))
    if len(answer) == 1:
        return _words(next(iter(answer.values())))
    return "  ".join(f"{name} {_words(value)}" for name, value in answer.items())


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
