"""Finds data sets that `dlcore prepare` has written to disk as ArrayRecord."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

from dlcore.errors import UsageError

_NAME = re.compile(r"(?P<set>\w+)(?:/(?P<config>[\w.+=-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared data set on disk.

    Attributes:
        name: name of the set, with its config: "mnist", "xquad/en".
        version: as "3.0.1".
        folder: the folder with its records and its dataset_info.json.
        splits: number of examples of each split.
    """

    name: str
    version: str
    folder: Path
    splits: dict[str, int]


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Returns the root folder of prepared sets.

    Args:
        data_dir: that folder; None: $TFDS_DATA_DIR, or ~/tensorflow_datasets where it is not set.

    Raises:
        UsageError: the folder is a URL, such as one of cloud storage.
    """
    chosen = str(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    if "://" in chosen:
        raise UsageError(
            f"prepared data must be in a local folder, and {chosen} is a URL: mount or copy it, and"
            " set TFDS_DATA_DIR"
        )
    return Path(chosen).expanduser()


def parts_of(name: str) -> tuple[str, str | None, str | None]:
    """Splits "name[/config][:version]" into name, config and version; None for a missing part.

    Raises:
        UsageError: `name` is not of that form.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise UsageError(
            f"{name!r} is not a name of a data set: write NAME, NAME/CONFIG or NAME:1.2.3"
        )
    return parts["set"], parts["config"], parts["version"]


def find(name: str, data_dir: str | Path | None = None) -> Prepared:
    """Finds a prepared data set.

    Args:
        name: "name[/config][:version]"; without a version the highest one that is prepared.
        data_dir: root folder, see `data_folder`.

    Raises:
        UsageError: a malformed name; not prepared, or only with a config or in another version; a
            damaged description; or records in another format than ArrayRecord.
    """
    dataset, config, requested = parts_of(name)
    root = data_folder(data_dir)
    title = f"{dataset}/{config}" if config else dataset
    versions = _versions(root / title)
    if not versions:
        raise UsageError(_not_prepared(name, title, root, config))
    version = requested or versions[-1]
    if version not in versions:
        raise UsageError(
            f"{title} {version} is not prepared in {root}, but {', '.join(versions)}: run `dlcore"
            f" prepare {name}`"
        )
    return _described(title, version, root / title / version)


def version(name: str, data_dir: str | Path | None = None) -> str:
    """Returns the version of a prepared set that is read, as "3.0.1".

    Raises:
        UsageError: as `find`.
    """
    return find(name, data_dir).version


def class_names(
    name: str, feature: str = "label", *, data_dir: str | Path | None = None
) -> tuple[str, ...]:
    """Returns the names of a label's classes, in the order of their indices.

    Args:
        name: of the set, as of `find`.
        feature: the label; a nested one as "objects/label".
        data_dir: root folder, see `data_folder`.

    Raises:
        UsageError: as `find`, or the set has no class names for this feature.
    """
    folder = find(name, data_dir).folder
    file = folder / f"{feature.replace('/', '-')}.labels.txt"
    if not file.is_file():
        known = sorted(
            path.name.removesuffix(".labels.txt") for path in folder.glob("*.labels.txt")
        )
        raise UsageError(
            f"{name} does not name the classes of {feature!r}; it names those of:"
            f" {', '.join(known) or 'no feature'}"
        )
    return tuple(file.read_text(encoding="utf-8").splitlines())


def _not_prepared(name: str, title: str, root: Path, config: str | None) -> str:
    """The message for a set without any prepared version."""
    folders = sorted((root / title).glob("*")) if not config else []
    configs = [f"{title}/{path.name}" for path in folders if _versions(path)]
    if configs:
        return f"{title} is prepared in {root} only as {', '.join(configs)}: name one of them"
    return (
        f"{title} is not prepared in {root} (TFDS_DATA_DIR chooses that folder): run"
        f" `dlcore prepare {name}`, or use --offline for data that need no preparation"
    )


def _versions(folder: Path) -> list[str]:
    """Complete versions in a folder, lowest first.

    While TFDS prepares a set, its folder has another name, or no dataset_info.json yet.
    """
    names = [path.parent.name for path in folder.glob("*/dataset_info.json")]
    return sorted(
        (name for name in names if re.fullmatch(r"\d+\.\d+\.\d+", name)),
        key=lambda name: [*map(int, name.split("."))],
    )


def _described(title: str, version: str, folder: Path) -> Prepared:
    """Reads dataset_info.json. UsageError: damaged, or the records are not ArrayRecord."""
    way_out = (
        f"remove {folder} and run `dlcore prepare {title}` (or prepare it elsewhere and set"
        " TFDS_DATA_DIR)"
    )
    try:
        described = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        splits = {
            split["name"]: sum(map(int, split.get("shardLengths", ())))
            for split in described.get("splits", ())
        }
        file_format = described.get("fileFormat") or "tfrecord"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{folder / 'dataset_info.json'} cannot be read ({error}): {way_out}"
        ) from error
    if file_format != "array_record":
        raise UsageError(
            f"{title} {version} is prepared as {file_format}, and dlcore reads array_record only:"
            f" {way_out}"
        )
    return Prepared(title, version, folder, splits)
