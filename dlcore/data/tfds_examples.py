"""Prepared TFDS sets whose examples vary in shape, or do not fit into memory.

`ragged` decodes a split once into the cache, with features of any length; `mapped` decodes records
when a batch needs them. A nested feature has a path as name, such as "objects/bbox".
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data import mapped as mapping
from dlcore.data import ragged as varying
from dlcore.data import source as sources
from dlcore.data import tfds
from dlcore.data.cache import Rows, cached
from dlcore.data.mapped import Augment, Mapped, Prepare
from dlcore.data.prepared import Prepared, find
from dlcore.data.ragged import Limit, Longer, Ragged
from dlcore.data.records import Records, TensorInfo, damaged, decode, open_records
from dlcore.data.slices import bounds
from dlcore.data.source import Batch
from dlcore.errors import UsageError

_CHUNK = 64  # examples that are decoded at a time
_EXAMINED = 64  # records that the fingerprint of `mapped` depends on


def ragged(
    name: str,
    split: str,
    limits: Mapping[str, Limit],
    *,
    features: Sequence[str] | None = None,
    longer: Longer = "error",
    data_dir: str | Path | None = None,
) -> Ragged:
    """Loads a split with features of varying shape, decoded at the first use.

    Args:
        name, split, data_dir: as of `tfds.load`.
        limits: {feature of varying shape: size of its varying axes in a batch}.
        features: names of further numeric features to load; None: all numeric features.
        longer: "error", or "truncate": keep the first values of an example above its limit.

    Returns:
        A source of the features, with lengths and masks of those in `limits`, see
        `dlcore.data.ragged`.

    Raises:
        UsageError: as `tfds.load`; a feature of varying shape without a limit, or with one for
            too few or too many axes; an example above its limit, with `longer` "error".
    """
    prepared = find(name, data_dir)
    plain, start, stop = bounds(f"{prepared.name} {prepared.version}", prepared.splits, split)
    axes = {field: varying.axes(limit) for field, limit in limits.items()}
    chosen = None if features is None else sorted(set(features))
    stored = cached(
        tfds.cache_key(prepared, plain, ("ragged", json.dumps([axes, chosen]))),
        prepared.name,
        prepared.version,
        plain,
        lambda: _rows(prepared, plain, axes, chosen),
        sorted(limits),
    )
    digest = hashlib.sha256(f"{stored.info.fingerprint} {start}:{stop}".encode()).hexdigest()
    info = dataclasses.replace(stored.info, split=split, fingerprint=digest, examples=stop - start)
    sizes = {field: stored.arrays[f"{field}/size"] for field in limits}
    values = {}
    for field, size in sizes.items():
        ends = np.concatenate([[0], np.cumsum(np.prod(size, axis=1, dtype=np.int64))])
        values[field] = stored.arrays[field][ends[start] : ends[stop]]
    own = {*limits, *(f"{field}/size" for field in limits)}
    arrays = {key: array[start:stop] for key, array in stored.arrays.items() if key not in own}
    sizes = {field: size[start:stop] for field, size in sizes.items()}
    return varying.of(arrays, values, sizes, limits, longer, info)


def _rows(
    prepared: Prepared, split: str, axes: Mapping[str, int], chosen: Sequence[str] | None
) -> Rows:
    records, features = open_records(prepared, split)
    # TFDS lists its features in another order each time, nested ones too.
    described = dict(
        sorted(flat({key: features[key].get_tensor_info() for key in features}).items())
    )
    names = [key for key in described if _numeric(described[key])] if chosen is None else chosen
    for key in (*axes, *names):
        _check(prepared, key, described, axes)
    names = sorted({*names, *axes})

    def chunks() -> Iterator[Batch]:
        for first in range(0, len(records), _CHUNK):
            indices = range(first, min(first + _CHUNK, len(records)))
            examples = [flat(each) for each in decode(prepared, split, records, indices)]
            chunk: Batch = {}
            for key in names:
                found = [_value(example[key], described[key]) for example in examples]
                what = f"{key!r} of {prepared.name}, {split}, from record {first} on"
                values, sizes = varying.flattened(what, found, axes.get(key, 0))
                if key in axes:
                    chunk |= {key: values, f"{key}/size": sizes}
                else:
                    chunk[key] = np.stack(found)
            yield chunk

    return len(records), chunks()


def _value(value: Any, info: TensorInfo) -> np.ndarray:
    """A value of TFDS, of whose empty lists the shape of the elements is restored."""
    array = np.asarray(value, info.np_dtype)
    if not array.size and array.ndim < len(info.shape):
        return np.zeros([size or 0 for size in info.shape], array.dtype)
    return array


def _numeric(info: TensorInfo) -> bool:
    return np.dtype(info.np_dtype).kind in "biuf"


def _check(
    prepared: Prepared, key: str, described: Mapping[str, Any], axes: Mapping[str, int]
) -> None:
    """UsageError: no such feature, no numbers, or other varying axes than the limits say."""
    if key not in described:
        raise UsageError(f"{prepared.name} has no feature {key!r}: it has {', '.join(described)}")
    if not _numeric(described[key]):
        raise UsageError(f"feature {key!r} of {prepared.name} holds no numbers: leave it out")
    shape = described[key].shape
    unknown = [axis for axis, size in enumerate(shape) if size is None]
    if key not in axes and unknown:
        sizes = ", ".join("?" if size is None else str(size) for size in shape)
        raise UsageError(
            f"feature {key!r} of {prepared.name} varies in shape ({sizes}): give it a limit"
        )
    if key in axes and (len(shape) < axes[key] or any(axis >= axes[key] for axis in unknown)):
        raise UsageError(
            f"feature {key!r} of {prepared.name} varies in its axes"
            f" {', '.join(map(str, unknown))}: its limit must give the first"
            f" {max(unknown, default=-1) + 1 or 1} axes a size, not {axes[key]}"
        )


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested mappings; a key becomes a path such as "objects/bbox".

    Args:
        nested: {key: value or mapping}.
        prefix: put in front of every path.
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}/")
        else:
            found[f"{prefix}{key}"] = value
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class RecordItems:
    """Records of a prepared split, decoded one by one; each process opens them itself.

    Attributes:
        prepared: the set.
        split: a name without a slice.
        start, stop: its first record, and the one after the last.
        features: names of the numeric features to decode; of nested ones paths, see `flat`.
    """

    prepared: Prepared
    split: str
    start: int
    stop: int
    features: Sequence[str]

    def __len__(self) -> int:
        return self.stop - self.start

    @functools.cached_property
    def _records(self) -> Records:
        return open_records(self.prepared, self.split)[0]

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def read(self, index: int) -> mapping.Example:
        """Decodes the numeric features of a record, as arrays by name.

        Args:
            index: of the record, counted from `start`: 0 is the record `start` of the split.

        Raises:
            UsageError: it is damaged, or lacks a feature.
        """
        number = self.start + index
        (example,) = decode(self.prepared, self.split, self._records, range(number, number + 1))
        found = flat(example)
        if missing := [name for name in self.features if name not in found]:
            cause = KeyError(f"no feature {missing[0]!r}, but {', '.join(sorted(found))}")
            raise UsageError(damaged(self.prepared, self.split, f"record {number}", cause))
        return {name: np.asarray(found[name]) for name in self.features}

    def where(self, index: int) -> str:
        """Returns "record N of SET, SPLIT", where N is `start` + `index`."""
        return f"record {self.start + index} of {self.prepared.name}, {self.split}"


def mapped(
    name: str,
    split: str,
    features: Sequence[str],
    augment: Augment | None = None,
    prepare: Prepare | None = None,
    *,
    data_dir: str | Path | None = None,
) -> Mapped:
    """Opens a split whose records are decoded when a batch needs them.

    The fingerprint depends on the description of the set, on names and sizes of its files of
    records, and on 64 records, evenly spaced, which are decoded here; a change of other records
    that keeps the sizes does not change it.

    Args:
        name, split, data_dir: as of `tfds.load`.
        features: names of the numeric features to decode, such as ["image", "label"], or of nested
            ones "objects/bbox".
        augment, prepare: as of `dlcore.data.mapped.mapped`.

    Returns:
        The source; workers and processes open the records themselves.

    Raises:
        UsageError: not prepared, unknown split, no such feature, records that cannot be decoded, or
            as `dlcore.data.mapped.mapped`.
    """
    prepared = find(name, data_dir)
    plain, start, stop = bounds(f"{prepared.name} {prepared.version}", prepared.splits, split)
    items = RecordItems(prepared, plain, start, stop, tuple(features))
    digest = hashlib.sha256((prepared.folder / "dataset_info.json").read_bytes())
    for file in sorted(prepared.folder.glob(f"*-{plain}.array_record-*")):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
    digest.update(f"{start}:{stop}".encode())
    # The bytes of a record are not the same each time that TFDS writes it, what is decoded is.
    plainly = Mapped(items, sources.Info(prepared.name, prepared.version, split, "", len(items)))
    for index in np.linspace(0, len(items) - 1, min(_EXAMINED, len(items))).round():
        example = plainly.gather(np.array([index], np.int64))
        numeric = {name: array for name, array in example.items() if array.dtype != object}
        digest.update(sources.fingerprint(numeric).encode())
    return mapping.mapped(
        prepared.name,
        prepared.version,
        split,
        items,
        augment,
        prepare,
        digest.hexdigest(),
    )
