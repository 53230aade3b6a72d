"""Features of varying length or shape: boxes, sound, token lists, images of any size.

The values of a feature of all examples are concatenated in one array, in memory or memory-mapped,
beside the size of each example. A batch has them padded with 0 to a declared limit, and for each
feature NAME its sizes and a mask:

    boxes         float32 [rows, limit, 4]
    boxes_length  int32 [rows]; of several varying axes `boxes_size` int32 [rows, axes]
    boxes_mask    float32 [rows, limit]: 1 on values, 0 on padding
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Integer

from dlcore.data import source as sources
from dlcore.data.source import Batch, Info
from dlcore.errors import UsageError

Limit = int | tuple[int, ...]
Longer = Literal["error", "truncate"]
"""What to do with an example above its limit: refuse the data, or keep its first values."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Examples with features of varying length or shape.

    A batch has each of these features padded to its limit, with sizes and a mask (`gather`).

    Attributes:
        arrays: features of one shape, {field: [examples, ...]}.
        values: features of varying shape, {field: [values of all examples, ...]}; the varying axes
            come first and are flattened into one.
        sizes: sizes of the varying axes, {field: int [examples, varying axes]}.
        limits: {field: size of each varying axis in a batch}.
        info: which data these are.
    """

    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, np.ndarray]
    limits: Mapping[str, tuple[int, ...]]
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    @functools.cached_property
    def offsets(self) -> dict[str, np.ndarray]:
        """Computes where each example starts in `values`, {field: int64 [examples + 1]}.

        The last offset is the number of all values.
        """
        return {
            name: np.concatenate([[0], np.cumsum(np.prod(sizes, axis=1, dtype=np.int64))])
            for name, sizes in self.sizes.items()
        }

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns examples with padded features, their sizes and masks.

        Args:
            index: which examples, int [rows].

        Returns:
            {field: [rows, ...]} of `arrays`, and of each feature of varying shape the fields of
            `named`; of values above a limit the first ones are kept.
        """
        batch = {name: array[index] for name, array in self.arrays.items()}
        for name, limit in self.limits.items():
            if len(limit) == 1:
                batch |= named(name, *self._lists(name, index, limit[0]))
            else:
                batch |= named(name, *padded([self.example(name, int(i)) for i in index], limit))
        return batch

    def _lists(
        self, name: str, index: Integer[np.ndarray, " rows"], limit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """`padded` for one varying axis, in one gather."""
        sizes = np.minimum(self.sizes[name][index], limit).astype(np.int32)
        inside = np.arange(limit) < sizes
        if not len(self.values[name]):
            shape = (*inside.shape, *self.values[name].shape[1:])
            return np.zeros(shape, self.values[name].dtype), sizes
        positions = self.offsets[name][index][:, None] + np.arange(limit)
        values = self.values[name][np.where(inside, positions, 0)]
        values[~inside] = 0
        return values, sizes

    def example(self, name: str, index: int) -> np.ndarray:
        """Returns a feature of varying shape of one example, without padding and truncation."""
        start, stop = self.offsets[name][index : index + 2]
        values = self.values[name]
        return values[start:stop].reshape(*self.sizes[name][index], *values.shape[1:])


def padded(values: Sequence[np.ndarray], limit: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pads arrays of varying shape with 0, and truncates what exceeds the limit.

    Args:
        values: one array per row, at least one; their first `len(limit)` axes vary.
        limit: size of these axes in the result.

    Returns:
        The values [rows, *limit, ...], and the sizes that they have there, int32 [rows, axes].
    """
    axes = len(limit)
    out = np.zeros((len(values), *limit, *values[0].shape[axes:]), values[0].dtype)
    sizes = np.zeros((len(values), axes), np.int32)
    for row, value in enumerate(values):
        kept = tuple(slice(min(size, most)) for size, most in zip(value.shape, limit, strict=False))
        out[row][kept] = value[kept]
        sizes[row] = [each.stop for each in kept]
    return out, sizes


def named(name: str, values: np.ndarray, sizes: np.ndarray) -> Batch:
    """Returns a padded feature with its sizes and its mask, as fields of a batch.

    Args:
        name: of the feature.
        values, sizes: from `padded`.

    Returns:
        {name: values, NAME_length: int32 [rows], or of several varying axes NAME_size: int32
        [rows, axes], NAME_mask: float32 [rows, *limit], 1 on values}.
    """
    axes = sizes.shape[1]
    mask = np.ones(values.shape[: axes + 1], np.float32)
    for axis in range(axes):
        shape = [len(sizes), *(1,) * axes]
        inside = np.arange(values.shape[axis + 1])[None] < sizes[:, axis : axis + 1]
        shape[axis + 1] = values.shape[axis + 1]
        mask *= inside.reshape(shape)
    size = {f"{name}_length": sizes[:, 0]} if axes == 1 else {f"{name}_size": sizes}
    return {name: values, **size, f"{name}_mask": mask}


def ragged(
    name: str,
    version: str,
    split: str,
    contents: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    limits: Mapping[str, Limit],
    longer: Longer = "error",
) -> Ragged:
    """Returns a source of features of varying length in memory.

    Args:
        name, version, split: of the data.
        contents: {field: array [examples, ...], or one array per example where its shape varies}.
        limits: {field of varying shape: size of its varying axes, which are the first}.
        longer: "error", or "truncate": keep the first values of an example above its limit.

    Raises:
        UsageError: an example above its limit (which one), examples that differ in dtype or in
            other axes, no examples, fields of different lengths, or a limit below 1 or of a field
            that is missing.
    """
    check_names(name, limits, contents)
    lengths = {field: len(values) for field, values in contents.items()}
    if len(set(lengths.values())) != 1 or not len(next(iter(contents.values()))):
        raise UsageError(f"{name}/{split} needs features of one number of examples, not {lengths}")
    arrays = {field: np.asarray(contents[field]) for field in contents if field not in limits}
    flat = {
        field: flattened(f"{field!r} of {name}/{split}", contents[field], axes(limit))
        for field, limit in limits.items()
    }
    values = {field: each[0] for field, each in flat.items()}
    sizes = {field: each[1] for field, each in flat.items()}
    hashed = {**arrays, **values, **{f"{field}/size": each for field, each in sizes.items()}}
    info = Info(name, version, split, sources.fingerprint(hashed), next(iter(lengths.values())))
    return of(arrays, values, sizes, limits, longer, info)


def of(
    arrays: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    sizes: Mapping[str, np.ndarray],
    limits: Mapping[str, Limit],
    longer: Longer,
    info: Info,
) -> Ragged:
    """Returns a source of flattened features, see `Ragged`; limits are part of its fingerprint.

    Args:
        arrays, values, sizes, info: see `Ragged`.
        limits, longer: see `ragged`.

    Raises:
        UsageError: an example above its limit, unless `longer` is "truncate".
    """
    most = {field: (limit,) if isinstance(limit, int) else limit for field, limit in limits.items()}
    for field, limit in most.items():
        over = np.flatnonzero((sizes[field] > np.array(limit)).any(1))
        if len(over) and longer == "error":
            largest = tuple(int(size) for size in sizes[field].max(0))
            raise UsageError(
                f"{field!r} of example {over[0]} of {info.name}/{info.split} has the size"
                f" {_size(sizes[field][over[0]])}, above the limit {_size(limit)}, as"
                f" {len(over)} of {info.examples} examples are: raise the limit to"
                f" {_size(largest)}, or choose truncation"
            )
    described = f"{info.fingerprint} {sorted(most.items())} {longer}"
    digest = hashlib.sha256(described.encode()).hexdigest()
    return Ragged(arrays, values, sizes, most, dataclasses.replace(info, fingerprint=digest))


def flattened(
    what: str, values: np.ndarray | Sequence[np.ndarray], axes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Concatenates arrays of varying shape to one array, and returns their sizes.

    Args:
        what: names them in messages.
        values: one array per example, at least one, whose first `axes` axes vary.
        axes: number of varying axes.

    Returns:
        All values [total, ...] and the sizes of the varying axes, int32 [examples, axes].

    Raises:
        UsageError: arrays that differ in dtype or in another axis, have fewer axes, or hold
            objects.
    """
    found = [np.asarray(value) for value in values]
    kinds = [(each.dtype, each.ndim, each.shape[axes:]) for each in found]
    for number, kind in enumerate(kinds):
        if kind != kinds[0] or kind[1] < axes or kind[0].hasobject:
            shapes = f"{found[0].dtype} {found[0].shape}", f"{found[number].dtype}"
            raise UsageError(
                f"{what}: example 0 is {shapes[0]}, and example {number} {shapes[1]}"
                f" {found[number].shape}: only the first {axes} axes may differ"
            )
    sizes = np.array([each.shape[:axes] for each in found], np.int32)
    flat = [each.reshape(math.prod(each.shape[:axes]), *each.shape[axes:]) for each in found]
    return np.concatenate(flat), sizes


def axes(limit: Limit) -> int:
    """Returns the number of varying axes of a limit: 1 of an int, the length of a tuple."""
    return 1 if isinstance(limit, int) else len(limit)


def check_names(name: str, limits: Mapping[str, Limit], fields: Mapping[str, object]) -> None:
    """Checks that each limit is at least 1 and belongs to a field.

    Args:
        name: of the data, for messages.
        limits: {field: size of its varying axes in a batch}.
        fields: a mapping whose keys are the existing fields.

    Raises:
        UsageError: a limit below 1, or of a field that does not exist.
    """
    for field, limit in limits.items():
        if field not in fields:
            raise UsageError(f"{name} has no feature {field!r}: it has {', '.join(sorted(fields))}")
        if min((limit,) if isinstance(limit, int) else limit, default=0) < 1:
            raise UsageError(f"the limit of {field!r} is {limit}: it must be 1 at least")


def _size(size: Sequence[int] | np.ndarray) -> str:
    return " x ".join(str(int(each)) for each in size)
