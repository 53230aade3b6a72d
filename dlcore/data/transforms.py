"""Sources with transformed examples: computed at once, on demand, or read from the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Integer, UInt64

from dlcore.data import source as sources
from dlcore.data.cache import Rows, cached
from dlcore.data.mapped import Mapped
from dlcore.data.source import Arrays, Batch, Info, Partnered, Source
from dlcore.errors import UsageError

Function = Callable[[Batch], Batch]
Transform = Function | Mapping[str, Callable[[Batch], np.ndarray]]
"""A function of a batch {field: [rows, ...]}, or {new field: function of a batch}."""

_EXAMINED = 64  # number of examples that the fingerprint of a lazy transform depends on
_FORMAT = 1  # of cached transforms; part of their key
_CHUNK = 1024  # examples that a cached transform is applied to at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Transformed:
    """A source whose examples are transformed whenever they are gathered; nothing is stored.

    Examples for training are augmented by `source` first, where it augments, and then transformed.

    Attributes:
        source: the examples before the transform.
        function: batch {field: [rows, ...]} -> batch of as many rows, which replaces it.
        info: that of `source` with another fingerprint, which depends on that of `source` and on
            the transformed examples 0 to 63.
    """

    source: Source
    function: Function
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Gathers examples by index, and transforms them.

        Args:
            index: which examples, int [rows].

        Returns:
            {field: [rows, ...]}, in the order of `index`.

        Raises:
            UsageError: the transform does not return a dict of arrays with one row per example.
        """
        return _checked(self.info, self.function(self.source.gather(index)), len(index))

    def augmented(
        self, index: Integer[np.ndarray, " rows"], keys: UInt64[np.ndarray, "rows 2"]
    ) -> Batch:
        """Returns examples for training, transformed after `source` has augmented them.

        Args:
            index, keys: as of `dlcore.data.source.drawn`.

        Raises:
            UsageError: as `gather`.
        """
        examples = sources.drawn(self.source, index, keys)
        return _checked(self.info, self.function(examples), len(index))


def transformed(source: Source, transform: Transform, version: str | None = None) -> Source:
    """Returns one source with transformed examples: `Splits.map` for a single split.

    Without a version, a source in memory (`Arrays`) is transformed at once, and any other whenever
    examples are gathered. With a version, the result is read from the cache, and computed first if
    it is missing there.

    Args:
        source: the examples. Of `Partnered` and its subclasses, the source of the examples and
            their partners is transformed.
        transform, version: as of `Splits.map`.

    Raises:
        UsageError: as `Splits.map`; or a version is given for a source whose examples are read on
            demand (`Mapped`).
    """
    function = _function(transform)
    if isinstance(source, Partnered):  # a subclass chooses its partners as before
        return dataclasses.replace(source, source=transformed(source.source, transform, version))
    if version is not None:
        return _stored(source, function, version)
    info = source.info
    if isinstance(source, Arrays):
        contents = _checked(info, function(dict(source.arrays)), len(source))
        new = sources.arrays(info.name, info.version, info.split, contents)
        # A subclass keeps its further attributes.
        return dataclasses.replace(source, arrays=new.arrays, info=new.info)
    indices = np.arange(min(_EXAMINED, len(source)))
    examined = sources.fingerprint(_checked(info, function(source.gather(indices)), len(indices)))
    digest = hashlib.sha256(f"{info.fingerprint} {examined}".encode()).hexdigest()
    return Transformed(source, function, dataclasses.replace(info, fingerprint=digest))


def _stored(source: Source, function: Function, version: str) -> Source:
    """The source with the transformed examples of the cache, which are computed where missing."""
    info = source.info
    if isinstance(sources.innermost(source), Mapped):
        raise UsageError(
            f"{info.name}, {info.split}, is read when a batch needs it, and cannot be cached: give"
            " the transform no version, or put it into `prepare` and `augment`"
        )
    few = np.arange(min(_EXAMINED, len(source)))
    first = _checked(info, function(source.gather(few)), len(few))
    parts = [_FORMAT, info.name, info.version, info.split, info.fingerprint, version]
    key = json.dumps([*parts, sources.fingerprint(first)])
    stored = cached(
        f"transforms/{hashlib.sha256(key.encode()).hexdigest()[:32]}",
        info.name,
        info.version,
        info.split,
        lambda: _rows(source, function, first),
    )
    if isinstance(source, Arrays):  # a subclass keeps its further attributes
        return dataclasses.replace(source, arrays=stored.arrays, info=stored.info)
    return stored


def _rows(source: Source, function: Function, first: Batch) -> Rows:
    """The transformed examples in chunks, whose first ones must be equal to `first`."""

    def chunks() -> Iterator[Batch]:
        where = f"the transform of {source.info.name}, {source.info.split},"
        for start in range(0, len(source), _CHUNK):
            index = np.arange(start, min(start + _CHUNK, len(source)))
            chunk = _checked(source.info, function(source.gather(index)), len(index))
            if (found := _kinds(chunk)) != _kinds(first):
                raise UsageError(
                    f"{where} gives {found} from example {start} on, and {_kinds(first)} before:"
                    " a cached one must give one shape and dtype"
                )
            for name, array in first.items() if not start else ():
                if not np.allclose(chunk[name][: len(array)], array, 1e-3, 1e-5, equal_nan=True):
                    raise UsageError(
                        f"{where} gives other {name!r} for the same example among other examples:"
                        " one with a version must treat every example by itself; compute what"
                        " depends on all of them before"
                    )
            yield chunk

    return len(source), chunks()


def _kinds(batch: Batch) -> str:
    return ", ".join(f"{name} {x.dtype} {x.shape[1:]}" for name, x in sorted(batch.items()))


def _function(transform: Transform) -> Function:
    if not isinstance(transform, Mapping):
        return transform
    fields = dict(transform)
    return lambda batch: {**batch, **{name: make(batch) for name, make in fields.items()}}


def _checked(info: Info, result: object, rows: int) -> Batch:
    """The arrays that a transform returned. UsageError: not a dict of arrays of `rows` rows."""
    where = f"the transform of {info.name}, {info.split},"
    if not isinstance(result, Mapping) or not result:
        raise UsageError(f"{where} gave {type(result).__name__}: it must give a dict of arrays")
    arrays = {name: np.asarray(array) for name, array in result.items()}
    for name, array in arrays.items():
        if array.dtype == object or array.shape[:1] != (rows,):
            described = f"{array.dtype} {array.shape}"
            raise UsageError(
                f"{where} gave {name!r} as {described}: it must be an array of {rows} rows"
            )
    return arrays
