"""Reads and writes card.json: what ran, on what, and the results; other tools read its keys."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar, cast

from dlcore import files
from dlcore.bounds import Dataclass
from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.runs.card_fields import Card
from dlcore.runs.card_migration import migrated

D = TypeVar("D", bound=Dataclass)


def plain(config: Dataclass) -> dict[str, Json]:
    """Returns the fields of a dataclass as JSON values, nested ones included; tuples are lists."""
    fields: dict[str, Json] = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


def write(folder: Path, card: Card) -> None:
    """Replaces card.json atomically: a reader sees the old card or the new one, never a part.

    Numbers that are not finite become null.

    Raises:
        UsageError: the disk is full, or the folder cannot be written.
    """
    try:
        files.write(
            folder / "card.json",
            json.dumps(_finite(card), indent=2, default=str, allow_nan=False) + "\n",
        )
    except OSError as error:
        raise UsageError(
            f"cannot write {folder / 'card.json'}: {error.strerror}; free disk space or grant write"
            " permission"
        ) from error


def _finite(value: object) -> object:
    """The value with None in place of numbers that are not finite, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


FORMAT = 2  # of a card; older ones are migrated when they are read (runs/card_migration.py)


def read(folder: Path) -> Card:
    """Reads the card of a run, as `read_file` does.

    Raises:
        UsageError: the folder or its card is missing, or the card is damaged or of a newer format.
    """
    path = folder / "card.json"
    if not folder.is_dir():
        raise UsageError(
            f"there is no run folder {folder}; dlcore train creates runs/EXPERIMENT/NUMBER, or"
            " the folder of --out"
        )
    if not path.is_file():
        raise UsageError(
            f"{folder} is not a run: it has no card.json; name the folder that dlcore train printed"
        )
    return read_file(path)


def read_file(path: Path) -> Card:
    """Reads a card, and migrates it where it has an older format.

    Args:
        path: the file, such as experiments/results/NAME.json.

    Raises:
        UsageError: it is missing, damaged, or of a newer format.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no card {path}; a run keeps its own as card.json, and experiments/results/"
            " holds those kept"
        )
    try:
        card = json.loads(files.read(path))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}; mend it by hand, or grant permission"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is damaged ({error}); mend it by hand, or train again into another folder"
        ) from error
    if not isinstance(card, dict) or not isinstance(card.get("experiment"), str):
        raise UsageError(f"{path} is not the card of a run: it names no experiment")
    for word in ("config", "run", "results", "params_sha256", "seconds"):
        if not isinstance(card.get(word, {}), dict):
            raise UsageError(
                f"{path} is damaged: its {word} is {card[word]!r}; mend it by hand, or train again"
                " into another folder"
            )
    return cast(Card, card) if card.get("format", 1) == FORMAT else migrated(card, path)


def fields(folder: Path, kind: type[D], card: Card, word: Literal["config", "run"]) -> D:
    """Rebuilds a dataclass from a part of a card.

    Entries that the class lacks are ignored, and missing ones keep their defaults;
    `resuming.difference` reports both.

    Args:
        folder: the run, or the card's file, for the message.
        kind: the dataclass, whose fields all have defaults.
        card: the card.
        word: the key of the part: "config" or "run".

    Raises:
        UsageError: a value has another type than the field.
    """
    return _rebuilt(
        kind(),
        card.get(word, {}),
        f"{folder / 'card.json' if folder.is_dir() else folder} is damaged: its {word}",
    )


def _rebuilt(usual: D, kept: Mapping[str, Json], whose: str) -> D:
    """The dataclass `usual` with the values that a card has kept, nested dataclasses included."""
    values: dict[str, object] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in kept.items()
        if hasattr(usual, name)
    }
    for name, value in values.items():
        like = getattr(usual, name)
        is_nested = dataclasses.is_dataclass(like) and not isinstance(like, type)
        if is_nested and isinstance(value, dict):
            values[name] = _rebuilt(like, value, f"{whose}.{name}")
            continue
        fits = isinstance(value, int | float if type(like) is float else type(like)) or None in (
            value,
            like,
        )
        if not fits or (isinstance(value, bool) and not isinstance(like, bool)):
            raise UsageError(f"{whose} says {name} = {value!r}; mend it by hand")
    return dataclasses.replace(usual, **values)
