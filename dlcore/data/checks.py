"""Whether data are what an experiment takes: looked at before the first step, so that faults in
them have a message of their own.

`check_sizes` and `check_numbers` look at the sources as they are built, before a run has a folder.
Losses declare, while they are traced, which field holds indices (`index_below`), and
`check_indices` looks at these before the first step. `find_fault` looks at the batch of a step that
has failed. Arrays are read once, front to back, at a few GB/s: of integers, those that could be
cut, and indices; of floating-point arrays the first GiB. Of a source that makes its examples when
asked, the first few are looked at, and the indices of every batch (`watched`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from dlcore.data.source import Arrays, Batch, Partnered, Source, Windows
from dlcore.errors import UsageError

# bytes at a time, bytes of floating-point numbers, examples of other sources
_BLOCK, _MOST, _FEW = 16 << 20, 1 << 30, 64


class Indices(NamedTuple):
    """A field that holds whole numbers from 0 to `size` - 1, at least where its field `weight` is
    not 0 ("": everywhere).
    """

    size: int
    weight: str = ""


_DECLARED: ContextVar[dict[str, Indices] | None] = ContextVar("declared", default=None)


@contextlib.contextmanager
def declared() -> Iterator[dict[str, Indices]]:
    """Collects what the losses that are traced inside declare: {field: Indices}."""
    found: dict[str, Indices] = {}
    token = _DECLARED.set(found)
    try:
        yield found
    finally:
        _DECLARED.reset(token)


def index_below(field: str, size: int, weight: str = "") -> None:
    """A loss declares that this field of its batch holds indices below `size`: labels of so many
    classes, tokens of a vocabulary.
    """
    found = _DECLARED.get()
    if found is not None:
        found[field] = Indices(min(size, found[field].size if field in found else size), weight)


def check_sizes(train: Source, batch: int, evaluated: Mapping[str, Source]) -> None:
    """Raises UsageError for a batch larger than the training data, and for a split without
    examples.
    """
    if batch > len(train):
        raise UsageError(
            f"--batch {batch} is larger than the {len(train)} examples of {_named('train', train)}:"
            " the same example would stand in it twice;"
            f" {f'take --batch {len(train)} or less' if len(train) else 'give it examples'}"
        )
    for split, source in evaluated.items():
        if not len(source):
            raise UsageError(
                f"{_named(split, source)} has no examples: give it some, or leave that split out of"
                " `eval`"
            )


def check_numbers(splits: Mapping[str, Source], x64: bool = False) -> None:
    """Raises UsageError for NaN, and for integers that JAX would cut to 32 bits unless it computes
    in 64 (`wide`).
    """
    for split, source in splits.items():
        for field, array in _contents(source).items():
            if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and not x64:
                narrow = np.iinfo(np.int32 if array.dtype.kind == "i" else np.uint32)
                if found := _first_outside(array, narrow.min, narrow.max):
                    raise UsageError(
                        f"{_at(split, source, field, *found)}, which does not fit into the 32 bits"
                        " that JAX computes in: use smaller numbers, or set JAX_ENABLE_X64=1"
                    )
            elif array.dtype.kind == "f":
                part = array[: _MOST // max(1, array[:1].nbytes)]
                if found := _first_outside(part, -np.inf, np.inf):
                    raise UsageError(
                        f"{_at(split, source, field, *found)}: leave such examples out, or put a"
                        " number in its place (np.nan_to_num)"
                    )


def check_indices(splits: Mapping[str, Source], fields: Mapping[str, Indices]) -> None:
    """Raises UsageError for an index that is not below the size that a loss has declared."""
    for split, source in splits.items():
        contents = _contents(source)
        for field, (size, weight) in fields.items():
            if field in contents and (
                found := _first_outside(contents[field], 0, size - 1, contents.get(weight))
            ):
                raise UsageError(
                    f"{_at(split, source, field, *found)}, and {_allowed(field, size)}"
                )


def watched(
    batches: Iterable[Batch], source: Source, fields: Mapping[str, Indices]
) -> Iterator[Batch]:
    """The batches of a training source, each one looked at if the source's arrays could not be:
    UsageError at the first wrong index.
    """
    if isinstance(_innermost(source), Arrays | Windows):
        yield from batches
        return
    for batch in batches:
        if fault := _wrong_index(batch, fields):
            raise UsageError(f"{_named('train', source)}: {fault}")
        yield batch


def find_fault(batch: Batch, examples: np.ndarray, fields: Mapping[str, Indices]) -> str:
    """What is wrong with the data of a batch, of which `examples` are the numbers; empty where
    nothing is seen.
    """
    for field, array in batch.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            at = tuple(int(i) for i in np.argwhere(~finite)[0])
            return f"{field!r} of example {examples[at[0]]} is {array[at]}"
    return _wrong_index(batch, {field: Indices(size) for field, (size, _) in fields.items()})


def _wrong_index(batch: Batch, fields: Mapping[str, Indices]) -> str:
    for field, (size, weight) in fields.items():
        if field in batch and (
            found := _first_outside(batch[field], 0, size - 1, batch.get(weight))
        ):
            return f"{field!r} holds {found[1]}, and {_allowed(field, size)}"
    return ""


def _allowed(field: str, size: int) -> str:
    last = f"it must be 0 to {size - 1}" if size > 1 else "it must be 0"
    return (
        f"the loss takes {field!r} for an index of {size} outputs: {last}; number the classes from"
        " 0, or give the model more outputs"
    )


def _innermost(source: Source) -> Source:
    return _innermost(source.source) if isinstance(source, Partnered) else source


def _contents(source: Source) -> Mapping[str, np.ndarray]:
    """What a source draws from, by field."""
    inner = _innermost(source)
    if isinstance(inner, Arrays):
        return inner.arrays
    if isinstance(inner, Windows):
        return {"tokens": inner.text, "targets": inner.text}
    return inner.gather(np.arange(min(len(inner), _FEW)))


def _first_outside(
    array: np.ndarray, low: float, high: float, counts: np.ndarray | None = None
) -> tuple[int, object] | None:
    """Row and value of the first number that is not from `low` to `high`, as NaN never is; where
    `counts` is 0 nothing is looked at.
    """
    if not array.size or array.dtype.kind not in "iuf":
        return None
    if counts is not None and counts.shape != array.shape:
        counts = None
    for start, part in _blocks(array):
        if counts is None and part.min() >= low and part.max() <= high:
            continue
        outside = ~((part >= low) & (part <= high))
        if counts is not None:
            outside &= counts[start : start + len(part)] != 0
        if outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            return start + at[0], part[at]
    return None


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first row, rows) of the parts of an array, of `_BLOCK` bytes or one row
    each.
    """
    rows = max(1, _BLOCK // array[:1].nbytes)
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def _named(split: str, source: Source) -> str:
    return f"split {split} ({source.info.name} {source.info.version})"


def _at(split: str, source: Source, field: str, row: int, value: object) -> str:
    what = "token" if isinstance(_innermost(source), Windows) else f"{field!r} of example"
    return f"{_named(split, source)}: {what} {row} is {value}"
