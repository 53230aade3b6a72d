"""The folder of a run: created and locked by one process, so that no two runs share one."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dlcore import files
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import trust
from dlcore.runs.catalog import FACTS, Page
from dlcore.runtime import processes
from dlcore.train.model_file import MODEL

# What a run appends to or replaces.
CONTENTS = ("metrics.jsonl", "diagnostics.jsonl", "checkpoints", "samples", FACTS, MODEL)
OURS = (
    *CONTENTS,
    "card.json",
    "experiment.py",
    "lock",
    "tracked.json",
    "stacks*.txt",
    "events.out.tfevents.*",
    ".card.json.*",
    f".{FACTS}.*",
    f".{MODEL}.*",
)
TEMPORARY = (
    "metrics.jsonl.new",
    "diagnostics.jsonl.new",
    "tracked.new",
    "card.json.new",
    ".samples.new",
    ".samples.old",
)


@contextmanager
def claimed(page: Page, flags: RunOptions) -> Iterator[Path]:
    """Creates and locks the folder of a new run: `--out`, or the next free number.

    Only the first process creates and locks it, until the block ends. An error in the block removes
    the new files and folders, unless metrics.jsonl was created.

    Args:
        page: the experiment file; without `--out` the folder is runs/NAME/NUMBER with its name.
        flags: the run options.

    Yields:
        The folder, the same one in all processes.

    Raises:
        UsageError: the folder holds a run already, is unfit otherwise (see `claim`), or cannot be
            written.
    """
    with ExitStack() as held:
        folder, number = Path(flags.out), 0

        def claim_it() -> None:
            nonlocal folder, number
            if not flags.out:
                folder = held.enter_context(numbered(page))
                number = int(folder.name)
            held.enter_context(claim(folder, page))

        processes.by_first(claim_it)
        yield folder if flags.out else _numbered(page, processes.agreed(number))


@contextmanager
def numbered(page: Page) -> Iterator[Path]:
    """Creates runs/NAME/NUMBER with the next free number.

    The number is one more than the largest that exists, and at least 1. An error in the block
    removes the created folders again, except those that are not empty.

    Args:
        page: the experiment file, which has the NAME.

    Yields:
        The folder, relative to the working directory.

    Raises:
        UsageError: it cannot be created.
    """
    there = (Path("runs") / page.name).glob("[0-9]*")
    for number in itertools.count(
        1 + max((int(path.name) for path in there if path.name.isdecimal()), default=0)
    ):
        made = _make(folder := _numbered(page, number))
        if folder in made:  # otherwise another process was faster
            break
    try:
        yield folder
    except BaseException:
        _remove_empty(made)
        raise


def _numbered(page: Page, number: int) -> Path:
    return Path("runs") / page.name / f"{number:03d}"


@contextmanager
def claim(folder: Path, page: Page) -> Iterator[None]:
    """Creates the folder of a run, unless it exists, and locks it for the block.

    No file but "lock" is written. An error in the block removes the files and folders that are new
    and have names of a run's, unless metrics.jsonl was created.

    Args:
        folder: the folder; missing parents are created as well.
        page: the experiment file of the run, which `keep_page` saves and not this function; an
            experiment.py of the same text, as a killed start leaves it, is not refused.

    Raises:
        UsageError: the folder holds a run, links, or files that a run would overwrite; another
            process has locked it, or it cannot be written.
    """
    _refuse_card(folder, page)
    made = _make(folder)
    lock = {"lock"} if os.path.lexists(folder / "lock") else set()
    with files.held(folder), _locked(folder):
        known = files.identity(folder)
        _refuse_card(folder, page)
        before = {path.name for path in folder.iterdir()} - {"lock"}
        try:
            _refuse_contents(folder, page, before)
            yield
        except BaseException:
            begun = (folder / "metrics.jsonl").exists() and "metrics.jsonl" not in before
            # Otherwise the folder was removed or renamed, and another one has its name.
            if not begun and files.identity(folder) == known:
                _remove_new(folder, before | lock)
                _remove_empty(made)
            raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Locks the folder of an earlier run for the block.

    Raises:
        UsageError: another process has locked it, it cannot be written, or it contains links.
    """
    refuse_links(folder)
    with _locked(folder):
        yield


def keep_page(folder: Path, page: Page) -> None:
    """Saves the experiment file's text as experiment.py in the run, and trusts the file.

    Its path and the hash of its text are added to the list of trusted files (`trust.remember`).

    Args:
        folder: the run.
        page: the experiment file.

    Raises:
        UsageError: the folder cannot be written.
    """
    trust.remember(page.path, page.source)
    try:
        files.write(folder / "experiment.py", page.source)
    except OSError as error:
        raise UsageError(
            f"cannot write {folder / 'experiment.py'}: {error.strerror}; free disk space, grant"
            " write permission, or choose another --out"
        ) from error


def refuse_links(folder: Path) -> None:
    """Raises UsageError where a link in a run has a name that a run writes, or is a checkpoint."""
    inside = [
        path
        for path in folder.glob("*")
        if any(fnmatch.fnmatch(path.name, name) for name in (*OURS, *TEMPORARY))
    ]
    links = [path for path in (*inside, *(folder / "checkpoints").glob("*")) if path.is_symlink()]
    if links:
        raise UsageError(
            f"{links[0]} is a link to {os.readlink(links[0])!r}: a run does not write through"
            " links. Remove it, or replace it by its target"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(files.locked(folder / "lock"))
        except BlockingIOError:
            raise UsageError(
                f"another process is training in {folder}; wait for it, or choose another --out"
            ) from None
        except OSError as error:
            raise UsageError(
                f"cannot write into {folder}: {error.strerror}; grant write permission or choose"
                " another --out"
            ) from error
        yield


def _refuse_card(folder: Path, page: Page) -> None:
    if not os.path.lexists(folder / "card.json"):
        return
    old = cards.read(folder)["experiment"]
    way = (
        f"dlcore resume {folder} continues it"
        if old == page.name
        else f"it belongs to experiment {old}"
    )
    raise UsageError(f"{folder} already holds a run: {way}; a new run needs another --out")


def _refuse_contents(folder: Path, page: Page, names: set[str]) -> None:
    """Raises UsageError where a run would overwrite files that are not a run's."""
    refuse_links(folder)
    taken = sorted(names & set(CONTENTS))
    if "experiment.py" in names:  # a start that was killed leaves the same text
        try:
            same = (
                files.read(folder / "experiment.py").decode("utf-8", errors="replace")
                == page.source
            )
        except OSError:
            same = False
        taken += [] if same else ["experiment.py"]
    if taken:
        raise UsageError(
            f"{folder} holds {' and '.join(taken)}, and is no run of dlcore: training there"
            " would overwrite that; choose another --out, or move it away"
        )


def _make(folder: Path) -> list[Path]:
    """Creates a folder and its parents; returns the created ones, the innermost first."""
    made: list[Path] = []
    try:
        for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                made.insert(0, path)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(folder))
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder}: {error.strerror}; grant write permission, free disk"
            " space, or choose another --out"
        ) from error
    return made


def _remove_new(folder: Path, before: set[str]) -> None:
    for path in list(folder.iterdir()):
        if path.name not in before and any(
            fnmatch.fnmatch(path.name, name) for name in (*OURS, *TEMPORARY)
        ):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
