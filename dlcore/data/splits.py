"""The splits of a data set with their facts, and transforms of their examples."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypedDict, get_args

import jax
import numpy as np
from jaxtyping import Integer

from dlcore.data.facts import Facts
from dlcore.data.source import Batch, Info, Source
from dlcore.data.transforms import Transform, transformed
from dlcore.errors import UsageError
from dlcore.options import DataSource


class Field(TypedDict):
    """Shape and dtype of a field of one example.

    Attributes:
        shape: without the axis of the examples.
        dtype: its name, such as "float32".
    """

    shape: list[int]
    dtype: str


_NAMED = ("train", "validation", "test")


def is_offline(name: str, source: DataSource) -> bool:
    """Returns whether the offline data of a set are requested.

    Args:
        name: of the set, for messages.
        source: "published" or "offline"; a path is refused.

    Raises:
        UsageError: a path to a user's files, which this set does not support, or another string.
    """
    if isinstance(source, Path):
        raise UsageError(
            f"own files are not supported by {name} yet: {source} is not read; take the published"
            " set, or offline data"
        )
    if source not in get_args(get_args(DataSource)[0]):
        raise UsageError(
            f"{source!r} is not a source of {name}: it must be published, offline or a path"
        )
    return source == "offline"


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """Sources of examples by split, with facts of the data.

    Attributes:
        train, validation, test: the sources; None if there is no validation or no test.
        facts: facts of the data. Added, in place of given ones of these names, are `fields` {name:
            {"shape", "dtype"}} of one training example, `examples` and `sources` (name, version,
            split, fingerprint) per split, and `scored`.
        scored: names of the splits on which losses are evaluated; validation and test are skipped
            where they are None.
        others: further splits by name.

    Raises:
        UsageError: `others` has a split "train", "validation" or "test", or `scored` a name that
            is neither one of these nor in `others`.
    """

    train: Any  # a Source; Any, since tasks use further attributes of their sources
    validation: Any = None
    test: Any = None
    facts: Facts = dataclasses.field(default_factory=Facts)
    scored: tuple[str, ...] = ("validation", "test")
    others: Mapping[str, Source] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if clash := [name for name in self.others if name in _NAMED]:
            raise UsageError(f"`others` cannot hold {clash[0]!r}: give it as a field of its own")
        if unknown := [name for name in self.scored if name not in (*_NAMED, *self.others)]:
            there = ", ".join(self.names())
            raise UsageError(f"scored names a split {unknown[0]!r}: there are {there}")
        infos = {name: dataclasses.asdict(source.info) for name, source in self.items()}
        examples = {name: info.pop("examples") for name, info in infos.items()}
        object.__setattr__(
            self,
            "facts",
            self.facts.with_facts(
                fields=_fields(self.train),
                examples=examples,
                sources=infos,
                scored=self.scored,
            ),
        )

    @classmethod
    def of(
        cls,
        splits: Mapping[str, Source] | None = None,
        /,
        *,
        facts: Facts | None = None,
        scored: tuple[str, ...] = ("validation", "test"),
        **more: Source,
    ) -> Splits:
        """Returns splits of any names, from a mapping or keywords.

        Args:
            splits: {name: source}.
            facts, scored: as of `Splits`.
            more: further sources by name; they replace those of `splits` with the same name.

        Raises:
            UsageError: there is no `train`; or `scored` is invalid, see `Splits`.
        """
        sources = {**(splits or {}), **more}
        if "train" not in sources:
            raise UsageError(f"splits need `train`, and there are {', '.join(sources) or 'none'}")
        return cls(
            sources.pop("train"),
            sources.pop("validation", None),
            sources.pop("test", None),
            facts=facts or Facts(),
            scored=scored,
            others=sources,
        )

    def items(self) -> Iterator[tuple[str, Source]]:
        """Yields (name, source) of the existing splits: train, validation, test, then others."""
        for name in _NAMED:
            if (source := getattr(self, name)) is not None:
                yield name, source
        yield from self.others.items()

    def names(self) -> list[str]:
        """Returns the names of the existing splits, in the order of `items`."""
        return [name for name, _ in self.items()]

    def __getitem__(self, name: str) -> Source:
        """Returns a split by name.

        Raises:
            UsageError: it does not exist.
        """
        found = dict(self.items())
        if name not in found:
            raise UsageError(f"these data have no split {name!r}: they have {', '.join(found)}")
        return found[name]

    def evaluated(self) -> dict[str, Source]:
        """Returns {name: source} of the existing splits in `scored`, in the order of `scored`."""
        found = dict(self.items())
        return {name: found[name] for name in self.scored if name in found}

    def with_facts(self, **more: object) -> Splits:
        """Returns the same splits with further facts, which replace those of the same name."""
        return dataclasses.replace(self, facts=self.facts.with_facts(**more))

    def map(
        self,
        transform: Transform | None = None,
        train: Transform | None = None,
        held_out: Transform | None = None,
        version: str | None = None,
    ) -> Splits:
        """Returns splits with transformed examples.

        A transform is a function of a batch {field: [rows, ...]} that returns all fields of the new
        examples, or a mapping {field: function of a batch}, which adds or replaces fields. `Arrays`
        are transformed at once, as complete arrays, other sources when examples are gathered.
        `info` keeps name, version and split, and gets another fingerprint.

        With a `version` the results are kept in the cache of decoded data, and memory-mapped by
        later runs. The entry depends on the data, the version, and what the transform returns for
        the first examples: change the version whenever the transform changes otherwise. Such a
        transform is applied to chunks of examples, and must treat every example by itself.

        Args:
            transform: of every split for which `train` or `held_out` gives none; None: such splits
                are unchanged.
            train: of the training split, in place of `transform`.
            held_out: of all other splits, in place of `transform`.
            version: of the transforms, with all settings that they depend on, such as "2, 16 kHz";
                None: nothing is cached.

        Raises:
            UsageError: a transform that does not return a dict of arrays with one row per example;
                splits without data (`from_facts`); with a version, a transform whose result depends
                on the other examples, or a source whose examples are read on demand.
        """
        sources: dict[str, Source] = {}
        for name, source in self.items():
            specific = train if name == "train" else held_out
            chosen = transform if specific is None else specific
            if chosen is not None and isinstance(source, Unopened):
                raise UsageError(
                    f"the data of this run are not open here: {source.info.name} cannot be"
                    " transformed"
                )
            sources[name] = source if chosen is None else transformed(source, chosen, version)
        return Splits.of(sources, facts=self.facts, scored=self.scored)

    @classmethod
    def from_facts(cls, facts: Facts) -> Splits:
        """Returns splits without data, whose sources know `info`, length and fields only.

        Args:
            facts: of splits, such as those that a run saved.

        Raises:
            UsageError: the facts are not those of splits.
        """
        try:
            for field in facts.fields.values():
                np.empty((0, *field["shape"]), np.dtype(field["dtype"]))  # raises for others
            count = {name: operator.index(n) for name, n in facts.examples.items()}
            sources: dict[str, Source] = {
                name: Unopened(Info(**info, examples=count[name]), facts.fields)
                for name, info in facts.sources.items()
            }
            scored = tuple(map(str, facts.scored))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UsageError(
                f"the facts of the data are damaged ({type(error).__name__}: {error}): copy the"
                " run, or its facts.json, from where it is whole"
            ) from error
        return cls.of(sources, facts=facts, scored=scored)

    def template(self, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns an abstract batch of training examples, with `row` int32 and `mask` float32.

        Args:
            batch: number of examples.

        Returns:
            {field: shape [batch, ...] and dtype}.
        """
        fields = {
            name: jax.ShapeDtypeStruct((batch, *field["shape"]), np.dtype(field["dtype"]))
            for name, field in self.facts.fields.items()
        }
        row = jax.ShapeDtypeStruct((batch,), np.dtype(np.int32))
        return {**fields, "row": row, "mask": jax.ShapeDtypeStruct((batch,), np.dtype(np.float32))}


@dataclasses.dataclass(frozen=True, eq=False)
class Unopened:
    """A source without data, known from facts.

    Attributes:
        info: which data these are.
        fields: {name: {"shape", "dtype"}} of an example.
    """

    info: Info
    fields: Mapping[str, Field]

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Raises UsageError: there are no examples."""
        self._refuse()

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Raises UsageError: there are no examples."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f"the data of this run are not open here: only facts of {self.info.name} "
            f"{self.info.version}, {self.info.split}, are known; open the data to read examples"
        )


def _fields(source: Source) -> Mapping[str, Field]:
    if isinstance(source, Unopened):
        return source.fields
    example = source.gather(np.arange(min(1, len(source))))
    return {
        name: {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}
        for name, array in sorted(example.items())
    }
