"""What an experiment file builds: data, players, and what to show. The loop does the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jax import Array

from dlcore.data.source import Source
from dlcore.errors import UsageError
from dlcore.metrics.known import Better, Metric, known
from dlcore.train.step import Batch, Objective, State

if TYPE_CHECKING:
    from dlcore.samples import Sample

Results = Mapping[str, Mapping[str, float]]


class Published(NamedTuple):
    """The number that an experiment is held against: `metric` of `split`."""

    metric: str
    value: float
    source: str
    better: Better = "higher"
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
    best                  "split/metric", evaluated during training: its best state is kept, and is what test evaluation, samples and
                          export use; `metrics` or the table of known ones says whether lower is better, or a "-" in front does
    metrics               {name: Metric}: which direction is better, of metrics that `dlcore.metrics.known.KNOWN` does not have
    inputs                the floating arrays of a batch that `--precision bf16` may round: what networks read; all else keeps its bits
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
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    inputs: Collection[str] = ()
    published: Published | None = None
    tensor: Sequence[tuple[str, tuple[str | None, ...]]] = ()


def best_of(experiment: Experiment) -> str:
    """`best` with its direction: "split/metric", "-" in front where lower is better; "" where there is none.

    Raises UsageError where it cannot be followed: a split that is not evaluated during training, or no direction, or two.
    """
    if not experiment.best:
        return ""
    path = experiment.best.removeprefix("-")
    split, _, name = path.partition("/")
    during = [each for each in experiment.eval if each != "test"]
    if split not in during or not name:
        raise UsageError(
            f"best={experiment.best!r} must be SPLIT/METRIC of a split that is evaluated during training, one of "
            f"{', '.join(during) or 'none'} (test is looked at once, at the end): name such a metric, or leave best out"
        )
    better = known(name, experiment.metrics).better
    if experiment.best.startswith("-"):
        if better == "higher":
            raise UsageError(f"best={experiment.best!r} says that lower is better, and of {name} higher is: write {path!r}")
        better = "lower"
    if better is None:
        raise UsageError(
            f"best={experiment.best!r}: nothing says whether higher or lower is better: declare it, as "
            f'Experiment(metrics={{"{name}": Metric("higher")}}), with Metric from dlcore.metrics.generation'
        )
    return f"-{path}" if better == "lower" else path
