"""What a trained model answers to a user's own files, lines of text, or a number of examples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from dlcore.bounds import Dataclass
from dlcore.samples import Sample
from dlcore.train.step import State

Answer = tuple[Mapping[str, object], Sample]
"""Plain JSON for programs, and what a person sees of it."""

Anyone = TypeVar("Anyone", bound="Predictor | Generator")


@runtime_checkable
class Predictor(Protocol):
    """Reads files or lines of text into items, and answers batches of items.

    `options` is a dataclass whose fields are the flags of `dlcore predict` for this model; in a
    copy of the predictor `with_options` puts those that a user gave in its place.

    A predictor may have more:
        reads: "files" (the default) or "lines". With "lines" text files, `-` and `--text` are
            given to `items` as text, a line at a time, and files never are.
        line(answer) -> str: the readable line of an answer. By default its names and values.
        item(value) -> item: an item of a Python value such as an array, for `dlcore.load`.
    """

    @property
    def options(self) -> Dataclass:
        """Flags of `dlcore predict` and their defaults."""

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Any]:
        """Items, which are answered one by one, read from files or lines of text.

        Called with one file or one line at a time; a file with several items, such as the rows of
        a table, gives several. Raises UsageError for what cannot be read.
        """

    def batch(self, state: State, items: Sequence[Any]) -> list[Answer]:
        """The answers of a trained state, one an item.

        All batches of a command have the same number of items, so that one program is compiled:
        the last one is padded by repeating its last item.
        """


@runtime_checkable
class Generator(Protocol):
    """Makes examples from nothing but a seed: `dlcore predict RUN --count N`."""

    @property
    def options(self) -> Dataclass:
        """Flags of `dlcore predict` and their defaults, such as `seed`."""

    def generated(self, state: State, count: int) -> list[Answer]:
        """`count` generated examples. Raises UsageError for options that do not fit the model."""


def with_options(predictor: Anyone, options: Dataclass) -> Anyone:
    """A copy of a predictor with other options."""
    if dataclasses.is_dataclass(predictor) and not isinstance(predictor, type):
        return dataclasses.replace(predictor, options=options)
    made = copy.copy(predictor)
    setattr(made, "options", options)  # noqa: B010 - the protocol has a property
    return made


def reads(predictor: Predictor | Generator) -> str:
    """Whether a predictor reads "files" or "lines"."""
    return str(getattr(predictor, "reads", "files"))


def readable(predictor: Predictor | Generator, answer: Mapping[str, object]) -> str:
    """An answer as text: by the predictor's `line`, or its names and values."""
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
