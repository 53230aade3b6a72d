"""Prepared TFDS data sets by name: decoded once without TensorFlow, then memory-mapped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data.cache import Rows, cached
from dlcore.data.slices import bounds
from dlcore.data.source import Arrays, Batch
from dlcore.errors import UsageError

# Counts up when the same records are decoded into other arrays than before, so that old cache
# entries are not used.
_FORMAT = 1
_CHUNK_BYTES = 32 << 20

_NAME = re.compile(r"(?P<set>\w+)(?:/(?P<config>[\w.+=-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set as `dlcore prepare` left it: its splits with their numbers of examples."""

    name: str
    version: str
    folder: Path
    splits: dict[str, int]


def load(
    name: str,
    split: str,
    *,
    data_dir: str | Path | None = None,
    features: Sequence[str] | None = None,
) -> Arrays:
    """A split ("train", "train[:90%]", "train[55000:]") of a prepared set, all its features or
    those named.

    UsageError: not prepared, unknown split or feature, a feature without a fixed shape, records
    that cannot be decoded.
    """
    prepared = find(name, data_dir)
    plain, start, stop = _parse(prepared, split)
    names = None if features is None else tuple(sorted(set(features)))
    place = _place(prepared, plain, names)
    full = cached(
        place, prepared.name, prepared.version, plain, lambda: _rows(prepared, plain, names)
    )
    if (start, stop) == (0, len(full)):
        return full
    mark = hashlib.sha256(f"{full.info.fingerprint} {start}:{stop}".encode()).hexdigest()
    info = dataclasses.replace(full.info, split=split, fingerprint=mark, examples=stop - start)
    return Arrays({key: array[start:stop] for key, array in full.arrays.items()}, info)


def text(
    name: str, split: str, *, data_dir: str | Path | None = None, feature: str = "text"
) -> str:
    """The text of a set that holds one text a split. UsageError: as `load`, or more than one
    text.
    """
    prepared = find(name, data_dir)
    plain, *_ = _parse(prepared, split)
    if plain != split or prepared.splits[plain] != 1:
        raise UsageError(
            f"{prepared.name}/{split}: a text is a whole split of one example, and {plain} has"
            f" {prepared.splits[plain]}"
        )
    place = _place(prepared, plain, ("text of", feature))
    found = cached(
        place, prepared.name, prepared.version, plain, lambda: _characters(prepared, plain, feature)
    )
    return found.arrays[feature].tobytes().decode("utf-8")


def columns(
    name: str,
    split: str,
    features: Sequence[str] | None = None,
    *,
    data_dir: str | Path | None = None,
) -> dict[str, list[Any]]:
    """Every example of a split as plain values: texts as str, whatever else TFDS gives (numbers,
    arrays of any length).

    For texts and features of varying shape; decoded anew each time, so for sets that fit in memory
    with ease. UsageError: not prepared, unknown split or feature, records that cannot be decoded.
    """
    prepared = find(name, data_dir)
    plain, start, stop = _parse(prepared, split)
    source, features_by_name = _open(prepared, plain)
    names = sorted(features_by_name) if features is None else list(features)
    if unknown := [key for key in names if key not in features_by_name]:
        raise UsageError(
            f"{prepared.name} has no feature {unknown[0]!r}: it has"
            f" {', '.join(sorted(features_by_name))}"
        )
    found: dict[str, list[Any]] = {key: [] for key in names}
    for first in range(start, stop, 1024):
        for example in _decode(prepared, plain, source, range(first, min(first + 1024, stop))):
            for key in names:
                found[key].append(_plain(example[key]))
    return found


def _plain(value: Any) -> Any:
    """bytes as str, arrays of bytes as lists of str, groups item by item; everything else as it
    is.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [_plain(each) for each in value]
    return value


def class_names(
    name: str, feature: str = "label", *, data_dir: str | Path | None = None
) -> tuple[str, ...]:
    """The names of a label's classes, by number. UsageError: the prepared set does not name
    them.
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


def version(name: str, data_dir: str | Path | None = None) -> str:
    """The version that `load` and `text` read. UsageError: not prepared."""
    return find(name, data_dir).version


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Where prepared sets lie: `data_dir`, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    chosen = str(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    if "://" in chosen:
        raise UsageError(
            f"prepared data lie in a local folder, and {chosen} is none: mount or copy it, and set"
            " TFDS_DATA_DIR"
        )
    return Path(chosen).expanduser()


def parts_of(name: str) -> tuple[str, str | None, str | None]:
    """Set, config and version of "name[/config][:version]". UsageError: it is not of that form."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise UsageError(
            f"{name!r} is no name of a data set: write NAME, NAME/CONFIG or NAME:1.2.3"
        )
    return parts["set"], parts["config"], parts["version"]


def find(name: str, data_dir: str | Path | None = None) -> Prepared:
    """The prepared set "name[/config][:version]", in its highest version if none is named.
    UsageError: it is not there.
    """
    dataset, config, requested = parts_of(name)
    root = data_folder(data_dir)
    title = f"{dataset}/{config}" if config else dataset
    versions = _versions(root / title)
    if not versions:
        configs = (
            [path.name for path in sorted((root / title).glob("*")) if _versions(path)]
            if not config
            else []
        )
        raise UsageError(
            f"{title} is prepared in {root} only as"
            f" {', '.join(f'{title}/{each}' for each in configs)}: name one of them"
            if configs
            else (
                f"{title} is not prepared in {root} (TFDS_DATA_DIR chooses that folder): run"
                f" `dlcore prepare {name}`, or use --offline for data that need no preparation"
            )
        )
    version = requested or versions[-1]
    if version not in versions:
        raise UsageError(
            f"{title} {version} is not prepared in {root}, but {', '.join(versions)}: run `dlcore"
            f" prepare {name}`"
        )
    return _described(title, version, root / title / version)


def check(prepared: Prepared) -> None:
    """Decode the first and the last record of every split. UsageError: that cannot be done."""
    for split, examples in prepared.splits.items():
        source, _ = _open(prepared, split)
        for number in {0, examples - 1} if examples else ():
            _decode_one(prepared, split, source, number)


def _versions(folder: Path) -> list[str]:
    """Versions in a folder, lowest first. What TFDS has not finished has another name, or no
    dataset_info.json yet.
    """
    found = [path.parent.name for path in folder.glob("*/dataset_info.json")]
    return sorted(
        (name for name in found if re.fullmatch(r"\d+\.\d+\.\d+", name)),
        key=lambda name: [*map(int, name.split("."))],
    )


def _described(title: str, version: str, folder: Path) -> Prepared:
    again = (
        f"remove {folder} and run `dlcore prepare {title}` (or prepare it elsewhere and set"
        " TFDS_DATA_DIR)"
    )
    try:
        features_by_name = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        splits = {
            split["name"]: sum(map(int, split.get("shardLengths", ())))
            for split in features_by_name.get("splits", ())
        }
        kind = features_by_name.get("fileFormat") or "tfrecord"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{folder / 'dataset_info.json'} cannot be read ({error}): {again}"
        ) from error
    if kind != "array_record":
        raise UsageError(
            f"{title} {version} is prepared as {kind}, and dlcore reads array_record only: {again}"
        )
    return Prepared(title, version, folder, splits)


def _parse(prepared: Prepared, split: str) -> tuple[str, int, int]:
    return bounds(f"{prepared.name} {prepared.version}", prepared.splits, split)


def _place(prepared: Prepared, split: str, detail: tuple[str, ...] | None) -> str:
    """The place in the cache: another one as soon as anything of the prepared split changes."""
    records = sorted(prepared.folder.glob(f"*-{split}.array_record-*"))
    if not records:
        raise UsageError(
            f"{prepared.folder} holds no records of {split}: remove it and run `dlcore prepare"
            f" {prepared.name}`"
        )
    digest = hashlib.sha256(json.dumps([_FORMAT, detail]).encode())
    try:
        for file in ("dataset_info.json", "features.json"):
            digest.update((prepared.folder / file).read_bytes())
        # Record files are padded to 64 KiB, so other contents often have the same size: the time of
        # writing tells them apart.
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in records]
    except OSError as error:
        raise UsageError(
            f"the prepared {prepared.name} in {prepared.folder} cannot be read: {error}"
        ) from error
    digest.update(json.dumps(stats).encode())
    return f"tfds/{prepared.name}/{prepared.version}/{split}-{digest.hexdigest()[:16]}"


def _rows(prepared: Prepared, split: str, names: tuple[str, ...] | None) -> Rows:
    """The fixed-shape numeric features of every record."""
    source, features = _open(prepared, split)
    # TFDS reads its features in another order each time.
    features_by_name = {key: features[key].get_tensor_info() for key in sorted(features)}
    infos = {
        key: features_by_name[key]
        for key in names or features_by_name
        if _fits(prepared, key, features_by_name)
    }
    size = sum(math.prod(info.shape) * np.dtype(info.np_dtype).itemsize for info in infos.values())
    step = max(1, min(1024, _CHUNK_BYTES // max(1, size)))

    def chunks() -> Iterator[Batch]:
        for first in range(0, len(source), step):
            numbers = range(first, min(first + step, len(source)))
            examples = _decode(prepared, split, source, numbers)
            yield {
                key: _stack(prepared, split, key, info, numbers, examples)
                for key, info in infos.items()
            }

    return len(source), chunks()


def _characters(prepared: Prepared, split: str, feature: str) -> Rows:
    """The UTF-8 bytes of the one text."""
    source, features = _open(prepared, split)
    if feature not in features or not isinstance(
        content := _decode(prepared, split, source, range(1))[0][feature], bytes
    ):
        raise UsageError(
            f"{prepared.name} has no text {feature!r}: its features are"
            f" {', '.join(sorted(features))}"
        )
    return len(content), [{feature: np.frombuffer(content, np.uint8)}]


def _open(prepared: Prepared, split: str) -> tuple[Any, Any]:
    """The records of a split and the features that they hold."""
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder_from_directory(prepared.folder)
        source = builder.as_data_source(split=split)
        if len(source) != prepared.splits[split]:
            raise ValueError(f"{len(source)} records, not {prepared.splits[split]}")
    except Exception as error:  # whatever TFDS and its readers raise: the records are what is wrong
        raise UsageError(_broken(prepared, split, "its records", error)) from error
    return source, builder.info.features


def _fits(prepared: Prepared, key: str, features_by_name: dict[str, Any]) -> bool:
    """True. UsageError: no such feature, or one that arrays do not take."""
    if key not in features_by_name:
        raise UsageError(
            f"{prepared.name} has no feature {key!r}: it has {', '.join(features_by_name)}"
        )
    if problem := _problem(features_by_name[key]):
        fitting = (
            ", ".join(other for other, info in features_by_name.items() if not _problem(info))
            or "it has none such"
        )
        raise UsageError(
            f"feature {key!r} of {prepared.name} {problem}, and arrays take numbers of one shape"
            f" only: name the features to load ({fitting})"
        )
    return True


def _problem(info: Any) -> str | None:
    """Why a feature cannot be the rows of an array. Kinds that are stored in another way would
    leave here.
    """
    if not hasattr(info, "np_dtype"):
        return "is a group of features"
    if not np.issubdtype(info.np_dtype, np.number) and not np.issubdtype(info.np_dtype, np.bool_):
        return "holds no numbers"
    if None in info.shape:
        return (
            "varies in shape"
            f" ({', '.join('?' if side is None else str(side) for side in info.shape)})"
        )
    return None


def _decode(prepared: Prepared, split: str, source: Any, numbers: range) -> list[dict[str, Any]]:
    try:
        return list(source.__getitems__(list(numbers)))
    except Exception:  # decoders raise anything: go one by one to tell which record it was
        return [_decode_one(prepared, split, source, number) for number in numbers]


def _decode_one(prepared: Prepared, split: str, source: Any, number: int) -> dict[str, Any]:
    try:
        return dict(source[number])
    except Exception as error:
        raise UsageError(_broken(prepared, split, f"record {number}", error)) from error


def _stack(
    prepared: Prepared,
    split: str,
    key: str,
    info: Any,
    numbers: range,
    examples: list[dict[str, Any]],
) -> np.ndarray:
    rows = np.empty((len(examples), *info.shape), info.np_dtype)
    for row, example in enumerate(examples):
        value = np.asarray(example[key])
        if value.shape != rows.shape[1:] or value.dtype.kind not in "biuf":
            cause = ValueError(
                f"{key} is {value.dtype} {value.shape}, not {rows.dtype} {rows.shape[1:]}"
            )
            raise UsageError(_broken(prepared, split, f"record {numbers[row]}", cause))
        rows[row] = value
    return rows


def _broken(prepared: Prepared, split: str, what: str, error: Exception) -> str:
    again = f"Remove {prepared.folder} and run `dlcore prepare {prepared.name}`"
    way = "Install that package" if isinstance(error, ImportError) else again
    return (
        f"{prepared.name} {prepared.version}, split {split}: {what} cannot be decoded"
        f" ({type(error).__name__}: {error}). {way}"
    )
