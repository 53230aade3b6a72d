"""Reads and decodes the records of a prepared data set, through TFDS and without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from dlcore.data.prepared import Prepared
from dlcore.errors import UsageError

Example = dict[str, Any]  # what TFDS decodes: arrays, numbers, bytes, nested dicts


class Records(Protocol):
    """The records of a split, decoded by index (a TFDS data source)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Example]: ...


class TensorInfo(Protocol):
    """Shape and dtype of a feature (`tfds.features.TensorInfo`); an unknown dimension is None."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def np_dtype(self) -> DTypeLike: ...


class Feature(Protocol):
    """A feature of a data set, as TFDS describes it."""

    def get_tensor_info(self) -> TensorInfo: ...


def open_records(prepared: Prepared, split: str) -> tuple[Records, Mapping[str, Feature]]:
    """Opens a split of a prepared set.

    Args:
        prepared: the set.
        split: a name without a slice, such as "train".

    Returns:
        The records, and {feature: its description}.

    Raises:
        UsageError: the records cannot be read, or their number is not the one in the description.
    """
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder_from_directory(prepared.folder)
        records = builder.as_data_source(split=split)
        if len(records) != prepared.splits[split]:
            raise ValueError(f"{len(records)} records, not {prepared.splits[split]}")
    except Exception as error:  # TFDS and its readers raise errors of any class on bad records
        raise UsageError(damaged(prepared, split, "its records", error)) from error
    return records, builder.info.features


def check(prepared: Prepared) -> None:
    """Decodes the first and the last record of every split.

    Raises:
        UsageError: a split cannot be opened, or one of these records cannot be decoded.
    """
    for split, examples in prepared.splits.items():
        records, _ = open_records(prepared, split)
        for index in {0, examples - 1} if examples else ():
            _decode_one(prepared, split, records, index)


def decode(prepared: Prepared, split: str, records: Records, indices: range) -> list[Example]:
    """Decodes some records of a split.

    Args:
        prepared, split: name the set and the split in messages.
        records: from `open_records`.
        indices: which of them.

    Returns:
        The decoded records, in the order of `indices`.

    Raises:
        UsageError: a record cannot be decoded; the message names its index.
    """
    try:
        return list(records.__getitems__(list(indices)))
    except Exception:  # decoders raise errors of any class: one by one, to find the record
        return [_decode_one(prepared, split, records, index) for index in indices]


def _decode_one(prepared: Prepared, split: str, records: Records, index: int) -> Example:
    try:
        return dict(records[index])
    except Exception as error:
        raise UsageError(damaged(prepared, split, f"record {index}", error)) from error


def plain(value: object) -> object:
    """Converts bytes to str (UTF-8), and object arrays to lists, also within lists and dicts.

    Other values are returned as they are.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [plain(each) for each in value]
    return value


def damaged(prepared: Prepared, split: str, what: str, error: Exception) -> str:
    """Returns the message for records that cannot be decoded.

    Args:
        prepared, split: where they are.
        what: "record 3" or "its records".
        error: the cause. An ImportError means that a package for decoding is not installed.
    """
    remedy = f"Remove {prepared.folder} and run `dlcore prepare {prepared.name}`"
    way_out = "Install that package" if isinstance(error, ImportError) else remedy
    return (
        f"{prepared.name} {prepared.version}, split {split}: {what} cannot be decoded"
        f" ({type(error).__name__}: {error}). {way_out}"
    )
