"""The splits of a data set with what is known of them, and transforms of their examples."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

import jax
import numpy as np

from dlcore.data import source as sources
from dlcore.data.facts import Facts
from dlcore.data.source import Arrays, Batch, Info, Partnered, Source
from dlcore.errors import UsageError
from dlcore.options import DataSource

Function = Callable[[Batch], Batch]
Transform = Function | Mapping[str, Callable[[Batch], np.ndarray]]
"""A function of a dict of arrays with one first axis, or {new field: function of that dict}."""

_NAMED = ("train", "validation", "test")
_EXAMINED = 64  # examples that the fingerprint of a lazy transform covers


def is_offline(name: str, source: DataSource) -> bool:
    """Whether the offline data of a set are meant. UsageError: files of one's own."""
    if isinstance(source, Path):
        raise UsageError(
            f"own files are not supported by {name} yet: {source} is not read; take the published"
            " set, or offline data"
        )
    if source not in get_args(get_args(DataSource)[0]):
        raise UsageError(f"{source!r} is no source of {name}: it is published, offline or a path")
    return source == "offline"


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """Sources of examples by split.

    Attributes:
        train, validation, test: the sources; None for a split that is not there.
        facts: what is known of the data. Added are `fields` {name: {"shape", "dtype"}} of one
            training example, `examples` and `sources` (name, version, fingerprint) per split,
            and `scored`.
        scored: the splits on which losses are evaluated, those of them that are there.
        others: further splits by name.
    """

    train: Any  # a Source; Any, since a task knows more of its own sources, such as their texts
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
        """Splits of any names, in a mapping or by keyword. UsageError: there is no `train`."""
        found = {**(splits or {}), **more}
        if "train" not in found:
            raise UsageError(f"splits need `train`, and there are {', '.join(found) or 'none'}")
        return cls(
            found.pop("train"),
            found.pop("validation", None),
            found.pop("test", None),
            facts=facts or Facts(),
            scored=scored,
            others=found,
        )

    def items(self) -> Iterator[tuple[str, Source]]:
        """(name, source) of the splits that are there, train first."""
        for name in _NAMED:
            if (source := getattr(self, name)) is not None:
                yield name, source
        yield from self.others.items()

    def names(self) -> list[str]:
        """The names of the splits that are there."""
        return [name for name, _ in self.items()]

    def __getitem__(self, name: str) -> Source:
        """A split by name. UsageError: it is not there."""
        found = dict(self.items())
        if name not in found:
            raise UsageError(f"these data have no split {name!r}: they have {', '.join(found)}")
        return found[name]

    def evaluated(self) -> dict[str, Source]:
        """{name: source} of the splits of `scored` that are there."""
        found = dict(self.items())
        return {name: found[name] for name in self.scored if name in found}

    def with_facts(self, **more: Any) -> Splits:
        """The same splits that know more."""
        return dataclasses.replace(self, facts=self.facts.with_facts(**more))

    def map(
        self,
        transform: Transform | None = None,
        train: Transform | None = None,
        held_out: Transform | None = None,
    ) -> Splits:
        """The splits with transformed examples.

        A function makes the new example fields of all fields; a mapping adds fields to those that
        are there. Sources in memory are transformed at once, as whole arrays, others when examples
        are gathered. `info` keeps name, version and split, and has another fingerprint.

        Args:
            transform: of every split.
            train: of the training split instead.
            held_out: of all other splits instead.

        Raises:
            UsageError: a transform that gives other than a dict of arrays with one row an example.
        """
        found = {}
        for name, source in self.items():
            own = train if name == "train" else held_out
            chosen = transform if own is None else own
            found[name] = source if chosen is None else transformed(source, chosen)
        return Splits.of(found, facts=self.facts, scored=self.scored)

    @classmethod
    def from_facts(cls, facts: Facts) -> Splits:
        """Splits without data: their sources know `info`, length and fields, and refuse the rest.

        UsageError: the facts are not those of splits.
        """
        found: dict[str, Source] = {
            name: Unopened(Info(**info, examples=facts.examples[name]), facts.fields)
            for name, info in facts.sources.items()
        }
        return cls.of(found, facts=facts, scored=tuple(facts.scored))

    def template(self, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
        """The abstract batch of so many training examples, `row` and `mask` included."""
        fields = {
            name: jax.ShapeDtypeStruct((batch, *field["shape"]), np.dtype(field["dtype"]))
            for name, field in self.facts.fields.items()
        }
        row = jax.ShapeDtypeStruct((batch,), np.dtype(np.int32))
        return {**fields, "row": row, "mask": jax.ShapeDtypeStruct((batch,), np.dtype(np.float32))}


@dataclasses.dataclass(frozen=True, eq=False)
class Unopened:
    """A source known by its facts alone. `fields`: {name: {"shape", "dtype"}} of an example."""

    info: Info
    fields: Mapping[str, Mapping[str, Any]]

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        """Raises UsageError."""
        self._refuse()

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Raises UsageError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f"the data of this run are not open here: {self.info.name} {self.info.version}, "
            f"{self.info.split}, is known by its facts alone; open the data to read examples"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Transformed:
    """A source whose examples go through a function when they are gathered."""

    source: Source
    function: Function
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        return _checked(self.info, self.function(self.source.gather(index)), len(index))


def transformed(source: Source, transform: Transform) -> Source:
    """One source with transformed examples, see `Splits.map`."""
    function = _function(transform)
    if isinstance(source, Partnered):  # both of a pair, by themselves
        return Partnered(transformed(source.source, transform))
    if isinstance(source, Unopened):
        raise UsageError(
            f"the data of this run are not open here: {source.info.name} cannot be transformed"
        )
    info = source.info
    if isinstance(source, Arrays):
        contents = _checked(info, function(dict(source.arrays)), len(source))
        made = sources.arrays(info.name, info.version, info.split, contents)
        # A subclass keeps what else it holds of each example.
        return dataclasses.replace(source, arrays=made.arrays, info=made.info)
    first = np.arange(min(_EXAMINED, len(source)))
    seen = sources.fingerprint(_checked(info, function(source.gather(first)), len(first)))
    digest = hashlib.sha256(f"{info.fingerprint} {seen}".encode()).hexdigest()
    return Transformed(source, function, dataclasses.replace(info, fingerprint=digest))


def _function(transform: Transform) -> Function:
    if not isinstance(transform, Mapping):
        return transform
    fields = dict(transform)
    return lambda batch: {**batch, **{name: make(batch) for name, make in fields.items()}}


def _checked(info: Info, made: Any, rows: int) -> Batch:
    """What a transform gave, as arrays. UsageError: no dict of arrays with a row an example."""
    where = f"the transform of {info.name}, {info.split},"
    if not isinstance(made, Mapping) or not made:
        raise UsageError(f"{where} gave {type(made).__name__}: it must give a dict of arrays")
    found = {name: np.asarray(array) for name, array in made.items()}
    for name, array in found.items():
        if array.dtype == object or array.shape[:1] != (rows,):
            kind = f"{array.dtype} {array.shape}"
            raise UsageError(f"{where} gave {name!r} as {kind}: it must be an array of {rows} rows")
    return found


def _fields(source: Source) -> Mapping[str, Any]:
    if isinstance(source, Unopened):
        return source.fields
    example = source.gather(np.arange(min(1, len(source))))
    return {
        name: {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}
        for name, array in sorted(example.items())
    }
