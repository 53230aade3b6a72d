"""Decides which experiment files may be executed: the file that a card names may come from anyone.

A file may run if it is one of the project's own experiments, if the user named it on the command
line, or if this user trained with it before: its path and the sha256 of its text are then listed in
the user's state folder. Anything else needs `--trust`.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import warnings
from pathlib import Path

from dlcore import files
from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.runs import catalog, changes
from dlcore.runs.card_fields import Card
from dlcore.runs.catalog import Page

COPY = "experiment.py"  # the run's own copy of its experiment file
EXPERIMENTS = (Path(__file__).resolve().parents[2] / "experiments").resolve()


def folder() -> Path:
    """Returns the folder of the list of trusted files, which need not exist.

    It is dlcore/trusted in $XDG_STATE_HOME, if that is an absolute path, else in ~/.local/state.
    """
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (
        (given if given.is_absolute() else Path.home() / ".local" / "state") / "dlcore" / "trusted"
    )


def page(run: Path, card: Card, trust: bool = False, accept_changes: bool = False) -> Page:
    """Executes the experiment file of a run, if that is allowed, and returns what it defines.

    The file is the one that the card names; where that does not exist, the experiment of the card's
    name in `catalog.folder()`, or else the copy in the run's folder, if the list of trusted files
    has the copy's path or `trust` is set. Without flags, the files that `is_known` accepts are
    allowed: the project's own experiments, and files of the list whose code is unchanged.

    Args:
        run: the folder of the run, or the file of its card.
        card: the card.
        trust: execute any file, and add it to the list, see `remember`.
        accept_changes: execute a file whose path is in the list although its code has changed; the
            list stays as it is.

    Raises:
        UsageError: the file is missing or cannot be loaded, or it is not allowed.
    """
    path = _named(run, card, trust)
    try:
        source = catalog.source(path)
    except OSError as error:
        raise UsageError(
            f"{_shown(path)}, which started {run}, cannot be read: {error.strerror}"
        ) from error
    if trust:
        remember(path, source)
    elif not is_known(path, source):
        if not _records(path):
            raise UsageError(
                f"{_shown(run if run.is_file() else run / 'card.json')} names {_shown(path)} as its"
                " experiment, with which you have not trained: such a file is not executed. Read"
                " it; --trust executes it"
            )
        if not accept_changes:
            raise UsageError(_changed(run, path, source))
    found = catalog.load(path, source)
    # the kept copy has another name than the experiment
    return dataclasses.replace(found, name=card["experiment"]) if path.name == COPY else found


def is_known(path: Path, source: str) -> bool:
    """Returns whether a file may be executed: it is the project's own, or in this user's list.

    Args:
        path: the file.
        source: its text, which may differ from the listed one in comments, docstrings and layout.
    """
    if path.resolve().parent == EXPERIMENTS or (folder() / _record(path, source)).is_file():
        return True
    code = _code(source)
    return code is not None and any(_read(record).get("code") == code for record in _records(path))


def remember(path: Path, source: str) -> None:
    """Adds a file that `is_known` rejects to the list of trusted files; warns where it cannot.

    Args:
        path: the file.
        source: its text.
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
            " resume, eval and similar commands will need --trust",
            stacklevel=2,
        )


def _named(run: Path, card: Card, trust: bool) -> Path:
    """The file that a card names; otherwise the experiment of the card's name.

    Where a file of the user's own is gone, it is the run's copy, if that may be executed.
    """
    file = Path(str(card.get("file") or ""))
    if file.suffix == ".py" and _is_file(file):
        return file
    name = card["experiment"]
    if file.suffix == ".py" and name not in catalog.names():
        kept = run / COPY
        is_there = run.is_dir() and _is_file(kept) and not kept.is_symlink()
        if is_there and (trust or _records(kept)):
            return kept
        advice = f", or read the run's own copy {kept}, which --trust executes" if is_there else ""
        raise UsageError(
            f"{run} was started with {_shown(file)}, which no longer exists: restore it{advice}"
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
    """The sha256 of the code without comments and docstrings; None where it is no Python."""
    try:
        return hashlib.sha256(changes.code(source).encode()).hexdigest()
    except (SyntaxError, ValueError, RecursionError):
        return None


def _read(record: Path) -> dict[str, Json]:
    """An entry of the list; {} where it is damaged."""
    try:
        entry = json.loads(files.read(record))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]


def _records(path: Path) -> list[Path]:
    """The entries of a path, for all of its texts."""
    return list(folder().glob(f"{_key(path)}-*.json"))


def _changed(run: Path, path: Path, source: str) -> str:
    """The message for a file that the user has trained with and that has changed since."""
    kept = run / COPY
    try:
        before = files.read(kept).decode("utf-8", errors="replace")
    except OSError:
        before = source
    lines = difflib.unified_diff(
        before.splitlines(), source.splitlines(), "as it began", str(path), lineterm="", n=1
    )
    excerpt = "\n".join(list(lines)[:60])
    return (
        f"{run} was started differently, or elsewhere: you have not trained with {_shown(path)}"
        f" as it is now\n{excerpt}\nundo the change; or resume with --accept-changes, or execute it"
        " as it is with --trust"
    )


def _shown(path: Path) -> str:
    """A path from a card, without control characters that would affect a terminal."""
    text = str(path)[:1000]
    return text if text.isprintable() else repr(text)
