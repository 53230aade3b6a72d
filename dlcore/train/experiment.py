"""What an experiment file builds: data, players, and what to show. The loop does the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jax import Array

from dlcore.data.source import Source
from dlcore.train.step import Batch, Objective, State

if TYPE_CHECKING:
    from dlcore.report.samples import Sample

Results = Mapping[str, Mapping[str, float]]


class Published(NamedTuple):
    """The number that an experiment is held against: `metric` of `split`."""

    metric: str
    value: float
    source: str
    better: Literal["higher", "lower"] = "higher"
    split: str = "test"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A model family on a data set.

    train, batch, steps   what is trained on, how many examples a step, how long
    init                  {name: (key, batch) -> Linen variables}; "params" are trained by the objective of that name
    objectives            {name: Objective}, in the order of play
    eval                  {split: source}: losses and metrics over each, every example once; all but "test" also during training
    evaluate              (state) -> {split: {metric: value}}: what cannot be said as a mean over examples; at the end
    sample                (state, key) -> what a person wants to see
    best                  "split/metric" whose best checkpoint is kept beside the last ones; "-" in front: lower is better
    published             the number that this is held against
    tensor                tensor-parallel rules: (pattern of a parameter's path, axis names of its dimensions)
    """

    train: Source
    batch: int
    steps: int
    init: Mapping[str, Callable[[Array, Batch], Mapping[str, Any]]]
    objectives: Mapping[str, Objective]
    eval: Mapping[str, Source] = dataclasses.field(default_factory=dict)
    evaluate: Callable[[State], Results] | None = None
    sample: Callable[[State, Array], Sequence[Sample]] | None = None
    best: str = ""
    published: Published | None = None
    tensor: Sequence[tuple[str, tuple[str | None, ...]]] = ()
