"""Checks of data before the first step, so that faults in them are reported as such.

`check_sizes` and `check_numbers` check the sources before a run has a folder. Losses declare, while
they are traced, which field holds indices (`index_below`), and `check_indices` checks these before
the first step. `find_fault` checks the batch of a step that has failed. Arrays in memory are read
once, in order, at a few GB/s: all integers, and the first GiB of each floating-point array. Of a
source that reads or computes its examples on demand, the first 64 examples are checked, and the
indices of every batch (`watched`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from dlcore.data.array_scan import first_outside, first_overflow
from dlcore.data.mapped import Mapped
from dlcore.data.ragged import Ragged
from dlcore.data.source import Arrays, Batch, Partnered, Source, Windows, innermost
from dlcore.errors import UsageError

_MOST = 1 << 30  # bytes that are checked of a floating-point array
_FEW = 64  # examples that are checked of a source that is not in memory


class Indices(NamedTuple):
    """A field that holds indices.

    Attributes:
        size: the indices are `least` to size - 1.
        weights: names of fields of the same shape; where all of them are 0, the index may be any
            number. Every index must be in the range where this is (), or where one of these fields
            is missing or has another shape.
        least: -1 where that stands for none of the classes, which the loss expects; else 0.
    """

    size: int
    weights: tuple[str, ...] = ()
    least: int = 0


_DECLARED: ContextVar[dict[str, Indices] | None] = ContextVar("declared", default=None)


@contextlib.contextmanager
def declared() -> Iterator[dict[str, Indices]]:
    """Collects the fields that losses declare while they are traced in this context.

    Yields:
        {field: Indices}, to which `index_below` adds.
    """
    fields: dict[str, Indices] = {}
    token = _DECLARED.set(fields)
    try:
        yield fields
    finally:
        _DECLARED.reset(token)


def index_below(field: str, size: int, weight: str = "", least: int = 0) -> None:
    """Declares, in a loss, that a field of its batch holds indices below `size`.

    Outside `declared` it does nothing. If a field is declared several times, the smallest size
    and the largest `least` count, and an index may be any number only where it may be so by all
    declarations.

    Args:
        field: such as labels of so many classes, or tokens of a vocabulary.
        size: number of classes or tokens.
        weight: field of weights, of the same shape as `field`; where it is 0, the index may be any
            number. "": none may be.
        least: the smallest index, 0 or -1, see `Indices`.
    """
    fields = _DECLARED.get()
    if fields is None:
        return
    weights = (weight,) if weight else ()
    if before := fields.get(field):
        size, least = min(size, before.size), max(least, before.least)
        everywhere = not weights or not before.weights  # one of the losses has no weights
        weights = () if everywhere else tuple(sorted({*before.weights, *weights}))
    fields[field] = Indices(size, weights, least)


def check_sizes(train: Source, batch: int, evaluated: Mapping[str, Source]) -> None:
    """Checks the numbers of examples.

    Args:
        train: training examples.
        batch: examples per step.
        evaluated: {split: examples}.

    Raises:
        UsageError: the batch is larger than the training data, or a split is empty.
    """
    if batch > len(train):
        raise UsageError(
            f"--batch {batch} is larger than the {len(train)} examples of {_named('train', train)},"
            " so that an example would be in it twice:"
            f" {f'choose --batch {len(train)} or less' if len(train) else 'give it examples'}"
        )
    for split, source in evaluated.items():
        if not len(source):
            raise UsageError(
                f"{_named(split, source)} has no examples: add some, or leave the split out of"
                " `scored`"
            )


def check_workers(train: Source, workers: int) -> None:
    """Checks that worker processes are requested only for a source that reads examples on demand.

    Args:
        train: training examples.
        workers: number of worker processes.

    Raises:
        UsageError: there are workers, and the innermost source is not `Mapped`.
    """
    if workers and not isinstance(innermost(train), Mapped):
        raise UsageError(
            f"--workers {workers}: the examples of {_named('train', train)} are in memory or"
            " memory-mapped, where processes would only copy them: omit it (--threads prepares"
            " batches ahead)"
        )


def check_numbers(splits: Mapping[str, Source], x64: bool = False) -> None:
    """Checks that no number is NaN, and that all fit into the 32 bits in which JAX computes.

    Of arrays in memory, or memory-mapped, all integers and the first GiB of each floating-point
    array are checked; of other sources the first 64 examples.

    Args:
        splits: {split: examples}.
        x64: whether JAX computes in 64 bits, so that any integer and any float64 is allowed.

    Raises:
        UsageError: NaN (infinity is allowed), an integer that JAX would truncate, or a finite
            float64 that would become infinite; the message names the split, and the field and the
            example, or of token windows the position in the text.
    """
    for split, source in splits.items():
        for field, array in _contents(source).items():
            if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and not x64:
                limits = np.iinfo(np.int32 if array.dtype.kind == "i" else np.uint32)
                if found := first_outside(array, limits.min, limits.max):
                    raise UsageError(
                        f"{_at(split, source, field, *found)}, which does not fit into the 32 bits"
                        " that JAX computes in: use smaller numbers, or set JAX_ENABLE_X64=1"
                    )
            elif array.dtype.kind == "f":
                checked = array[: _MOST // max(1, array[:1].nbytes)]
                if found := first_outside(checked, -np.inf, np.inf):
                    raise UsageError(
                        f"{_at(split, source, field, *found)}: leave such examples out, or put a"
                        " number in its place (np.nan_to_num)"
                    )
                if array.dtype.itemsize > 4 and not x64 and (found := first_overflow(checked)):
                    raise UsageError(
                        f"{_at(split, source, field, *found)}, which is infinite in the 32 bits"
                        " that JAX computes in: scale the numbers, or set JAX_ENABLE_X64=1"
                    )


def check_indices(splits: Mapping[str, Source], fields: Mapping[str, Indices]) -> None:
    """Checks that indices are not below the declared least, and below the declared size.

    Of sources whose arrays are in memory or memory-mapped all indices are checked, of others those
    of the first 64 examples.

    Args:
        splits: {split: examples}.
        fields: what the losses have declared; fields that a split lacks are skipped.

    Raises:
        UsageError: an index outside `least` to size - 1, unless its weights allow any number
            (`Indices.weights`); the message names the first.
    """
    for split, source in splits.items():
        contents = _contents(source)
        for field, (size, weights, least) in fields.items():
            if field in contents and (
                found := first_outside(contents[field], least, size - 1, _of(contents, weights))
            ):
                raise UsageError(
                    f"{_at(split, source, field, *found)}, and {_allowed(field, size, least)}"
                )


def watched(
    batches: Iterable[Batch], source: Source, fields: Mapping[str, Indices]
) -> Iterator[Batch]:
    """Yields the batches of a training source, and checks their indices.

    Only batches of sources whose arrays could not be checked before (`check_indices`) are checked.

    Args:
        batches: of the source.
        source: the training source.
        fields: what the losses have declared.

    Raises:
        UsageError: the first wrong index.
    """
    if isinstance(_innermost(source), Arrays | Windows | Ragged):
        yield from batches
        return
    for batch in batches:
        if fault := _wrong_index(batch, fields):
            raise UsageError(f"{_named('train', source)}: {fault}")
        yield batch


def find_fault(
    batch: Batch, examples: Integer[np.ndarray, " rows"], fields: Mapping[str, Indices]
) -> str:
    """Describes the first fault in the data of a batch; "" if there is none.

    Args:
        batch: arrays [rows, ...].
        examples: index of each row's example in the source, int [rows].
        fields: what the losses have declared; indices are checked even where their weight is 0.

    Returns:
        A number that is not finite, or an index outside its range, with the name of its field.
    """
    for field, array in batch.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            at = tuple(int(i) for i in np.argwhere(~finite)[0])
            return f"{field!r} of example {examples[at[0]]} is {array[at]}"
    unweighted = {field: indices._replace(weights=()) for field, indices in fields.items()}
    return _wrong_index(batch, unweighted)


def _wrong_index(batch: Batch, fields: Mapping[str, Indices]) -> str:
    for field, (size, weights, least) in fields.items():
        if field in batch and (
            found := first_outside(batch[field], least, size - 1, _of(batch, weights))
        ):
            return f"{field!r} holds {found[1]}, and {_allowed(field, size, least)}"
    return ""


def _allowed(field: str, size: int, least: int) -> str:
    last = f"it must be {least} to {size - 1}" if size - 1 > least else "it must be 0"
    return (
        f"the loss uses {field!r} as an index of {size} outputs: {last}; number the classes from"
        " 0, or give the model more outputs"
    )


def _innermost(source: Source) -> Source:
    return _innermost(source.source) if isinstance(source, Partnered) else source


def _contents(source: Source) -> Mapping[str, np.ndarray]:
    """The arrays of a source in memory, by field; else those of its first examples."""
    inner = _innermost(source)
    if isinstance(inner, Arrays):
        return inner.arrays
    if isinstance(inner, Ragged):
        return {**inner.arrays, **inner.values}
    if isinstance(inner, Windows):
        return {"tokens": inner.text, "targets": inner.text}
    return inner.gather(np.arange(min(len(inner), _FEW)))


def _of(contents: Mapping[str, np.ndarray], weights: Sequence[str]) -> list[np.ndarray]:
    """The arrays of weights; [] where one is missing, so that every index counts."""
    found = [contents[name] for name in weights if name in contents]
    return found if len(found) == len(weights) else []


def _named(split: str, source: Source) -> str:
    return f"split {split} ({source.info.name} {source.info.version})"


def _at(split: str, source: Source, field: str, row: int, value: object) -> str:
    inner = _innermost(source)
    what = "token" if isinstance(inner, Windows) else f"{field!r} of example"
    if isinstance(inner, Ragged) and field in inner.values:
        row = int(np.searchsorted(inner.offsets[field], row, "right")) - 1
    return f"{_named(split, source)}: {what} {row} is {value}"
