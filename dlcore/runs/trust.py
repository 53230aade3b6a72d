"""Which experiment files run. What a card names is a stranger's word: such a file runs only if this
user knows it.

A file runs if it is one of the project's own experiments, if the user named it on the command line,
or if this user trained with it before: its path and the sha256 of its text are then listed in the
user's state folder. Anything else needs `--trust`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcore import files
from dlcore.errors import UsageError
from dlcore.runs import catalog, changes
from dlcore.runs.catalog import Page

EXPERIMENTS = (Path(__file__).resolve().parents[2] / "experiments").resolve()


def folder() -> Path:
    """Where the list is kept: $XDG_STATE_HOME/dlcore/trusted, by default
    ~/.local/state/dlcore/trusted.
    """
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (
        (given if given.is_absolute() else Path.home() / ".local" / "state") / "dlcore" / "trusted"
    )


def page(
    run: Path, card: Mapping[str, Any], trust: bool = False, accept_changes: bool = False
) -> Page:
    """Load the experiment file of a run.

    Args:
        run: the run's folder, or the file of a card that was kept.
        card: what stands in it.
        trust: run the file that the card names whatever it is, and list it as known.
        accept_changes: run a file that the user trained with also where its text has changed since.

    Raises:
        UsageError: the file is missing, or it may not run.
    """
    path = _named(run, card)
    try:
        source = catalog.source(path)
    except OSError as error:
        raise UsageError(
            f"{_shown(path)}, which began {run}, cannot be read: {error.strerror}"
        ) from error
    if trust:
        remember(path, source)
    elif not is_known(path, source):
        if not _records(path):
            raise UsageError(
                f"{_shown(run if run.is_file() else run / 'card.json')} names {_shown(path)} as its"
                " experiment, with which you have not trained: such a file is not executed. Look"
                " at it; --trust executes it"
            )
        if not accept_changes:
            raise UsageError(_changed(run, path, source))
    return catalog.load(path, source)


def is_known(path: Path, source: str) -> bool:
    """Is it one of the project's experiments, or a file of this text with which this user has
    trained?
    """
    if path.resolve().parent == EXPERIMENTS or (folder() / _record(path, source)).is_file():
        return True
    code = _code(source)
    return code is not None and any(_read(record).get("code") == code for record in _records(path))


def remember(path: Path, source: str) -> None:
    """List a file with which the user trains. Where that cannot be written down, a warning says
    what follows.
    """
    if is_known(path, source):
        return
    record = folder() / _record(path, source)
    entry = {
        "path": str(path.resolve()),
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
        "code": _code(source),
    }
    try:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(record, json.dumps(entry) + "\n")
    except OSError as error:
        warnings.warn(
            f"cannot write into {folder()} that you trained with {path} ({error.strerror}): dlcore"
            " resume, eval and the like will want --trust",
            stacklevel=2,
        )


def _named(run: Path, card: Mapping[str, Any]) -> Path:
    """The file that a card names: the one that began the run, else the experiment of that name."""
    file = Path(str(card.get("file") or ""))
    if file.suffix == ".py" and _is_file(file):
        return file
    name = card["experiment"]
    if file.suffix == ".py" and name not in catalog.names():
        raise UsageError(
            f"{run} was begun with {_shown(file)}, which is not there any more: put it back"
        )
    try:
        return catalog.find(name)
    except OSError as error:  # a name that no file can have
        raise UsageError(
            f"{run} names no experiment that could be found: {error.strerror}"
        ) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _record(path: Path, source: str) -> str:
    return f"{_key(path)}-{hashlib.sha256(source.encode()).hexdigest()}.json"


def _code(source: str) -> str | None:
    """The sha256 of the file without comments and docstrings: when these change it is no other
    file. None where it is no Python.
    """
    try:
        return hashlib.sha256(changes.code(source).encode()).hexdigest()
    except (SyntaxError, ValueError, RecursionError):
        return None


def _read(record: Path) -> dict[str, Any]:
    """An entry of the list; empty where it is damaged."""
    try:
        entry = json.loads(files.read(record))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]


def _records(path: Path) -> list[Path]:
    """The list's entries of this path, whatever the text."""
    return list(folder().glob(f"{_key(path)}-*.json"))


def _changed(run: Path, path: Path, source: str) -> str:
    """What to say of a file with which the user has trained, and whose text is another now."""
    kept = run / "experiment.py"
    try:
        before = files.read(kept).decode("utf-8", errors="replace")
    except OSError:
        before = source
    lines = difflib.unified_diff(
        before.splitlines(), source.splitlines(), "as it began", str(path), lineterm="", n=1
    )
    excerpt = "\n".join(list(lines)[:60])
    return (
        f"{run} was begun differently, or elsewhere: you have not trained with {_shown(path)} as it"
        f" is now\n{excerpt}\nundo the change; or resume with --accept-changes, or execute it as it"
        " is with --trust"
    )


def _shown(path: Path) -> str:
    """A path that a stranger chose, without what would steer a terminal."""
    text = str(path)[:1000]
    return text if text.isprintable() else repr(text)
