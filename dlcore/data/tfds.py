"""Prepared TFDS data sets by name: decoded once, then memory-mapped from the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data.cache import Rows, cached
from dlcore.data.prepared import Prepared, class_names, data_folder, find, parts_of, version
from dlcore.data.records import (
    Example,
    TensorInfo,
    check,
    damaged,
    decode,
    open_records,
    plain,
)
from dlcore.data.slices import bounds
from dlcore.data.source import Arrays, Batch
from dlcore.errors import UsageError

__all__ = [
    "Prepared",
    "check",
    "class_names",
    "columns",
    "data_folder",
    "find",
    "load",
    "parts_of",
    "text",
    "version",
]

# Part of the cache key: increase it when the same records are decoded into other arrays than
# before, so that entries of an older version of this file are not used.
_FORMAT = 1
_CHUNK_BYTES = 32 << 20  # decoded at a time
_CHUNK_EXAMPLES = 1024


def load(
    name: str,
    split: str,
    *,
    data_dir: str | Path | None = None,
    features: Sequence[str] | None = None,
) -> Arrays:
    """Loads a split of a prepared set as memory-mapped arrays, decoded at the first use.

    Args:
        name: "name[/config][:version]".
        split: "train", "train[:90%]", "train[55000:]" and the like.
        data_dir: root folder, see `prepared.data_folder`.
        features: names of the features to load, which must be numeric and of fixed shape; None: all
            features of the set.

    Returns:
        Arrays [examples, ...] by feature; int64 is stored as int32 where all values fit.

    Raises:
        UsageError: not prepared, unknown split or feature, a feature that is not numeric or whose
            shape varies, or records that cannot be decoded.
    """
    prepared = find(name, data_dir)
    plain_split, start, stop = _parse(prepared, split)
    names = None if features is None else tuple(sorted(set(features)))
    if names == ():
        raise UsageError(f"no features of {prepared.name} are named: name some, or None for all")
    full = cached(
        cache_key(prepared, plain_split, names),
        prepared.name,
        prepared.version,
        plain_split,
        lambda: _rows(prepared, plain_split, names),
    )
    if (start, stop) == (0, len(full)):
        return full
    digest = hashlib.sha256(f"{full.info.fingerprint} {start}:{stop}".encode()).hexdigest()
    info = dataclasses.replace(full.info, split=split, fingerprint=digest, examples=stop - start)
    return Arrays({key: array[start:stop] for key, array in full.arrays.items()}, info)


def text(
    name: str, split: str, *, data_dir: str | Path | None = None, feature: str = "text"
) -> str:
    """Loads the text of a split that has one example, as those of tiny_shakespeare.

    Args:
        name, data_dir: as of `load`.
        split: a name without a slice.
        feature: the name of the text feature.

    Raises:
        UsageError: as `load`; `split` has a slice, or not exactly one example; or the set has no
            text feature of this name.
    """
    prepared = find(name, data_dir)
    plain_split, *_ = _parse(prepared, split)
    if plain_split != split or prepared.splits[split] != 1:
        raise UsageError(
            f"{prepared.name}/{split}: a text is a whole split of one example, and {plain_split}"
            f" has {prepared.splits[plain_split]}"
        )
    stored = cached(
        cache_key(prepared, split, ("text of", feature)),
        prepared.name,
        prepared.version,
        split,
        lambda: _characters(prepared, split, feature),
    )
    return stored.arrays[feature].tobytes().decode("utf-8")


def columns(
    name: str,
    split: str,
    features: Sequence[str] | None = None,
    *,
    data_dir: str | Path | None = None,
) -> dict[str, list[Any]]:
    """Loads a split as lists of plain values, for texts and features of varying shape.

    Nothing is cached: records are decoded at each call, and all of them are held in memory.

    Args:
        name, split, data_dir: as of `load`.
        features: names of the features; None: all of them.

    Returns:
        {feature: one value per example}: str for a text, a list for an array of texts, a dict for a
        group of features, else the numbers and arrays of TFDS.

    Raises:
        UsageError: not prepared, unknown split or feature, or records that cannot be decoded.
    """
    prepared = find(name, data_dir)
    plain_split, start, stop = _parse(prepared, split)
    records, described = open_records(prepared, plain_split)
    names = sorted(described) if features is None else list(features)
    if unknown := [key for key in names if key not in described]:
        raise UsageError(
            f"{prepared.name} has no feature {unknown[0]!r}: it has {', '.join(sorted(described))}"
        )
    values: dict[str, list[Any]] = {key: [] for key in names}
    for first in range(start, stop, _CHUNK_EXAMPLES):
        indices = range(first, min(first + _CHUNK_EXAMPLES, stop))
        for example in decode(prepared, plain_split, records, indices):
            for key in names:
                values[key].append(plain(example[key]))
    return values


def _parse(prepared: Prepared, split: str) -> tuple[str, int, int]:
    return bounds(f"{prepared.name} {prepared.version}", prepared.splits, split)


def cache_key(prepared: Prepared, split: str, detail: tuple[str, ...] | None) -> str:
    """Returns a path, relative to the cache, that changes when the prepared split changes.

    Args:
        prepared: the set.
        split: a name without a slice.
        detail: what else the entry depends on, such as the names of its features; None: nothing
            else.

    Raises:
        UsageError: the split has no records, or they cannot be read.
    """
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
        # Record files are padded to 64 KiB, so other contents often have the same size: the time
        # of writing distinguishes them.
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in records]
    except OSError as error:
        raise UsageError(
            f"the prepared {prepared.name} in {prepared.folder} cannot be read: {error}"
        ) from error
    digest.update(json.dumps(stats).encode())
    return f"tfds/{prepared.name}/{prepared.version}/{split}-{digest.hexdigest()[:16]}"


def _rows(prepared: Prepared, split: str, names: tuple[str, ...] | None) -> Rows:
    """The numeric features of fixed shape of every record, in chunks."""
    records, features = open_records(prepared, split)
    # TFDS lists its features in another order each time.
    described = {key: features[key].get_tensor_info() for key in sorted(features)}
    infos = {key: _checked(prepared, key, described) for key in names or described}
    size = sum(math.prod(info.shape) * np.dtype(info.np_dtype).itemsize for info in infos.values())
    step = max(1, min(_CHUNK_EXAMPLES, _CHUNK_BYTES // max(1, size)))

    def chunks() -> Iterator[Batch]:
        for first in range(0, len(records), step):
            indices = range(first, min(first + step, len(records)))
            examples = decode(prepared, split, records, indices)
            yield {
                key: _stack(prepared, split, key, info, indices, examples)
                for key, info in infos.items()
            }

    return len(records), chunks()


def _characters(prepared: Prepared, split: str, feature: str) -> Rows:
    """The UTF-8 bytes of the one text of a split."""
    records, features = open_records(prepared, split)
    content = (
        decode(prepared, split, records, range(1))[0][feature] if feature in features else None
    )
    if not isinstance(content, bytes):
        raise UsageError(
            f"{prepared.name} has no text {feature!r}: its features are"
            f" {', '.join(sorted(features))}"
        )
    return len(content), [{feature: np.frombuffer(content, np.uint8)}]


def _checked(prepared: Prepared, key: str, described: Mapping[str, TensorInfo]) -> TensorInfo:
    """The shape and dtype of a feature. UsageError: unknown, or it cannot be an array."""
    if key not in described:
        raise UsageError(f"{prepared.name} has no feature {key!r}: it has {', '.join(described)}")
    if problem := _problem(described[key]):
        loadable = [other for other, info in described.items() if not _problem(info)]
        raise UsageError(
            f"feature {key!r} of {prepared.name} {problem}, and arrays take numbers of one shape"
            f" only: name the features to load ({', '.join(loadable) or 'it has none such'})"
        )
    return described[key]


def _problem(info: TensorInfo) -> str | None:
    """Why a feature cannot be stored as rows of an array; None: it can."""
    if not hasattr(info, "np_dtype"):
        return "is a group of features"
    if not np.issubdtype(info.np_dtype, np.number) and not np.issubdtype(info.np_dtype, np.bool_):
        return "holds no numbers"
    if None in info.shape:
        sizes = ", ".join("?" if size is None else str(size) for size in info.shape)
        return f"varies in shape ({sizes})"
    return None


def _stack(
    prepared: Prepared,
    split: str,
    key: str,
    info: TensorInfo,
    indices: range,
    examples: Sequence[Example],
) -> np.ndarray:
    """One feature of some records as an array [records, ...]."""
    rows = np.empty((len(examples), *info.shape), info.np_dtype)
    for row, example in enumerate(examples):
        value = np.asarray(example[key])
        if value.shape != rows.shape[1:] or value.dtype.kind not in "biuf":
            cause = ValueError(
                f"{key} is {value.dtype} {value.shape}, not {rows.dtype} {rows.shape[1:]}"
            )
            raise UsageError(damaged(prepared, split, f"record {indices[row]}", cause))
        rows[row] = value
    return rows
