"""Examples that are read, decoded and augmented one by one, for sets that do not fit into memory.

    items = ImageFiles(paths, labels)               # or records of a prepared set
    train = mapped("birds", "1", "train", items, augment=augment, prepare=prepare)

`augment(example, random)` gives the examples of training batches: `random` is a NumPy generator
that depends on the run's seed, the step and the row alone, so that batches are the same for any
number of processes and workers, after a resume too. `prepare(example)` gives those of every other
use: evaluation, samples, predictions.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Integer, UInt64

from dlcore.data import source as sources
from dlcore.data import workers
from dlcore.data.source import Batch, Info
from dlcore.errors import UsageError

Example = Mapping[str, Any]
"""One example: {field: array, or a number of NumPy such as np.int32(3)}."""
Augment = Callable[[Example, np.random.Generator], Example]
Prepare = Callable[[Example], Example]

_EXAMINED = 4  # examples on which the fingerprint of `augment` and `prepare` depends


class Items(Protocol):
    """Encoded examples by index, from 0 to `len` - 1; it is pickled for worker processes."""

    def __len__(self) -> int:
        """Number of examples."""

    def read(self, index: int) -> Example:
        """Reads and decodes one example; may raise any error where it is damaged."""

    def where(self, index: int) -> str:
        """Describes where the example is stored, for messages: "FILE", or "record 3 of SET"."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mapped:
    """A source that reads its examples when a batch needs them.

    Attributes:
        items: the encoded examples.
        info: which data these are.
        augment: (example, random generator) -> example of a training batch; None: `prepare`.
        prepare: example -> example of every other use; None: as it was decoded.
    """

    items: Items
    info: Info
    augment: Augment | None = None
    prepare: Prepare | None = None

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Reads and prepares examples.

        Args:
            index: which examples, int [rows], at least one.

        Returns:
            {field: [rows, ...]}.

        Raises:
            UsageError: an example cannot be decoded, or examples differ in shape or dtype; the
                message names where they are stored. An error of `prepare` is raised as it is, with
                a note of where the example is stored.
        """
        return self._stacked(index, [self._prepared(int(i)) for i in index])

    def augmented(
        self, index: Integer[np.ndarray, " rows"], keys: UInt64[np.ndarray, "rows 2"]
    ) -> Batch:
        """Reads and augments examples; without `augment` it is `gather`.

        Args:
            index: which examples, int [rows], at least one.
            keys: of the random generator of each row, uint64 [rows, 2].

        Returns:
            {field: [rows, ...]}.

        Raises:
            UsageError: as `gather`; an error of `augment` is raised as it is, with a note.
        """
        if (augment := self.augment) is None:
            return self.gather(index)

        def changed(index: int, key: UInt64[np.ndarray, 2]) -> Example:
            return self._changed(index, lambda example: augment(example, generator(key)))

        examples = [changed(int(i), key) for i, key in zip(index, keys, strict=True)]
        return self._stacked(index, examples)

    def _prepared(self, index: int) -> Example:
        return self._changed(index, self.prepare or (lambda example: example))

    def _changed(self, index: int, change: Prepare) -> Example:
        where = self.items.where(index)
        workers.reading(where)
        try:
            example = self.items.read(index)
        except UsageError:
            raise
        except Exception as error:  # decoders raise errors of any class
            raise UsageError(
                f"{where} cannot be decoded ({type(error).__name__}: {error}): mend or remove it"
            ) from error
        try:
            return change(example)
        except Exception as error:
            error.add_note(f"The example was {where}.")
            raise

    def _stacked(self, index: Integer[np.ndarray, " rows"], examples: Sequence[Example]) -> Batch:
        if not examples:
            raise UsageError(f"{self.info.name}, {self.info.split}, has no examples: add some")
        batch = {}
        for name in examples[0]:
            arrays = [np.asarray(example[name]) for example in examples]
            for i, array in zip(index, arrays, strict=True):
                if (array.shape, array.dtype) != (arrays[0].shape, arrays[0].dtype):
                    one, other = (self.items.where(int(each)) for each in (index[0], i))
                    raise UsageError(
                        f"{name!r} of {one} is {arrays[0].dtype} {arrays[0].shape}, and that of"
                        f" {other} {array.dtype} {array.shape}: `augment` and `prepare` must give"
                        " all examples one shape and dtype"
                    )
            batch[name] = np.stack(arrays)
        return batch


def generator(key: UInt64[np.ndarray, 2]) -> np.random.Generator:
    """Returns the random generator of one example.

    Args:
        key: uint64 [2], the seed of the run and the example's number in the stream of its batches.
    """
    # The counter starts apart from that of the shuffle, whose keys are (seed, epoch).
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, 1]))


def mapped(
    name: str,
    version: str,
    split: str,
    items: Items,
    augment: Augment | None = None,
    prepare: Prepare | None = None,
    contents: str = "",
) -> Mapped:
    """Returns a source that reads its examples when a batch needs them.

    Up to four examples, evenly spaced, are read here.

    Args:
        name, version, split: of the data.
        items: the encoded examples.
        augment: (example, random generator) -> example of a training batch; None: `prepare`. With
            worker processes both functions are pickled (a lambda is allowed).
        prepare: example -> example of every other use; None: as it was decoded.
        contents: a hash of all contents. The fingerprint depends on it, on the examples that are
            read here, as `augment` and `prepare` return them, and on the number of examples.

    Raises:
        UsageError: as `Mapped.gather`; there are no examples; or `augment` gives other fields,
            shapes or dtypes than `prepare`.
    """
    source = Mapped(items, Info(name, version, split, "", len(items)), augment, prepare)
    if not len(items):
        raise UsageError(f"{name}, {split}, has no examples: add some")
    few = np.unique(np.linspace(0, len(items) - 1, _EXAMINED).round().astype(np.int64))
    plain = source.gather(few)
    changed = source.augmented(few, np.stack([np.arange(len(few))] * 2, -1).astype(np.uint64))
    described = [_described(each) for each in (plain, changed)]
    if described[0] != described[1]:
        raise UsageError(
            f"`augment` of {name} gives {described[1]}, and `prepare` {described[0]}: both must"
            " give the same fields, shapes and dtypes"
        )
    examined = [sources.fingerprint(each) for each in (plain, changed)]
    digest = hashlib.sha256(" ".join([contents, str(len(items)), *examined]).encode()).hexdigest()
    return dataclasses.replace(source, info=dataclasses.replace(source.info, fingerprint=digest))


def _described(batch: Batch) -> str:
    return ", ".join(
        f"{name} {array.dtype} {array.shape[1:]}" for name, array in sorted(batch.items())
    )
