"""Reads and writes card.json: what ran, on what, and the results; other tools read its keys."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar, cast

import jax
import numpy as np

from dlcore import files
from dlcore.bounds import Dataclass
from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.runs.card_fields import Card, Git, Hash, Machine
from dlcore.runs.card_migration import migrated
from dlcore.runtime import cores
from dlcore.sharding import Tree, to_host

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

D = TypeVar("D", bound=Dataclass)
PACKAGES = (
    "dlcore",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "tensorflow-datasets",
)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that affect the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git(folder: Path) -> Git:
    """Describes the repository that contains `folder`.

    Returns:
        Its commit, and whether its Python files are those of the commit; None where there is no
        repository, or no git.
    """

    def ask(*words: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", "-C", str(folder), *words],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    # Tracked files and other Python files count as changes; exports, sweeps and runs do not.
    changed, top = (
        ask("status", "--porcelain", "--untracked-files=no"),
        ask("rev-parse", "--show-toplevel"),
    )
    fresh = ask(
        "-c",
        "core.quotePath=off",
        "ls-files",
        "--others",
        "--exclude-standard",
        "--full-name",
        "--",
        ":/*.py",
    )
    clean = (
        None
        if changed is None or fresh is None or top is None
        else not changed and not _sources(Path(top), fresh)
    )
    return {"commit": ask("rev-parse", "HEAD"), "clean": clean}


def _sources(top: Path, names: str) -> list[Path]:
    """Those of these Python files that are not part of a run, which keeps its experiment file."""
    files = [top / name for name in names.splitlines()]
    return [
        file for file in files if not any((above / "card.json").is_file() for above in file.parents)
    ]


def machine() -> Machine:
    """Describes the host, the devices of JAX, and XLA's flags."""
    device = jax.devices()[0]
    return {
        "host": {
            "cpu": _cpu(),
            "cores": cores.available(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "devices": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def peak_memory() -> int | None:
    """The peak bytes in use on a device, or resident in this process; None if unknown."""
    held = [
        stats.get("peak_bytes_in_use", 0)
        for d in jax.local_devices()
        if (stats := d.memory_stats())
    ]
    if held and max(held):
        return int(max(held))
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def sha256(tree: Tree) -> str:
    """Computes the SHA-256 over path, dtype, shape and bytes of every leaf, sorted by path.

    It does not depend on how the arrays are spread over devices.
    """
    digest = hashlib.sha256()
    for path, leaf in sorted(
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(to_host(tree))
    ):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def plain(config: Dataclass) -> dict[str, Json]:
    """Returns the fields of a dataclass as JSON would give them back: tuples are lists."""
    fields: dict[str, Json] = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


def mark(params: Mapping[str, Tree]) -> Hash:
    """Computes SHA-256 and L2 norm of the parameters; the norm tells a small drift from a large."""
    host = to_host(params)
    squares = sum(
        float(np.sum(np.square(np.asarray(x, np.float64)))) for x in jax.tree.leaves(host)
    )
    return {"sha256": sha256(host), "norm": math.sqrt(squares)}


def parameters(params: Mapping[str, Tree]) -> dict[str, int]:
    """Counts the parameters of each model."""
    return {
        name: sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))
        for name, tree in params.items()
    }


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
    """Reads the card of a run.

    Raises:
        UsageError: the folder or its card is missing, or the card is damaged.
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
