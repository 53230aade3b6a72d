"""What an experiment file builds: models, objectives, data, and what to measure and show. The loop
does the rest.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jax import Array

from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.known import Better, Metric, known
from dlcore.samples import Sample
from dlcore.sharding import Rules
from dlcore.train.evaluators import Evaluator
from dlcore.train.model import Model, augment_batch
from dlcore.train.predictor import Predictor
from dlcore.train.step import Batch, Objective, State
from dlcore.train.weights import Weights

Results = Mapping[str, Mapping[str, float]]
Draw = Callable[[State, Array], Sample | Sequence[Sample]]


class Published(NamedTuple):
    """The number that an experiment is compared with: `metric` of `split`."""

    metric: str
    value: float
    source: str
    better: Better = "higher"
    split: str = "test"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A model family on a data set.

    Attributes:
        config: the experiment file's `Config`; its `batch` is the examples of a step, its `steps`
        how long to train. models: the networks, each with the name of its parameters. One without
        an objective is frozen. objectives: {name: Objective}; each trains the parameters of its
        name. Their order is the order of updates. splits: the data. Losses and metrics of the
        splits that it scores are means in which every example counts once; "test"
            is evaluated once, at the end.
        augment: (batch, key) -> batch, of training batches, inside the compiled step.
        load: {"model/path": Weights}: parameters that start from another run's.
        evaluators: metrics that are no means over examples (train/evaluators.py).
        samples: (state, key) -> what a person wants to see, one sample or several.
        predictor: what the model says of a user's own files.
        best: "split/metric", evaluated during training. The best state is kept, and is what test
        evaluation, samples and export
            use; `metrics`, an evaluator or the table of known metrics says whether lower is better,
            or a "-" in front does.
        metrics: {name: Metric}: direction and unit of metrics that `dlcore.metrics.known.KNOWN`
        does not have. published: the number that this is compared with.
        tensor_parallel: rules (pattern of a parameter's path, axis names of its dimensions).
    """

    config: Any
    models: Sequence[Model]
    objectives: Mapping[str, Objective]
    splits: Splits
    augment: Callable[[Batch, Array], Batch] | None = None
    load: Mapping[str, Weights] = dataclasses.field(default_factory=dict)
    evaluators: Sequence[Evaluator] = ()
    samples: Sequence[Draw] = ()
    predictor: Predictor | None = None
    best: str = ""
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    published: Published | None = None
    tensor_parallel: Rules = ()

    @property
    def batch(self) -> int:
        """Examples of a step, over all devices."""
        return int(self.config.batch)

    @property
    def steps(self) -> int:
        """How many steps are trained."""
        return int(self.config.steps)

    @property
    def train(self) -> Source:
        """What is trained on."""
        return self.splits.train

    @functools.cached_property
    def evaluated(self) -> dict[str, Source]:
        """{split: source} of which losses and metrics are measured."""
        return self.splits.evaluated()

    @functools.cached_property
    def trained(self) -> dict[str, Objective]:
        """The objectives, with augmentation in training."""
        return (
            augment_batch(self.objectives, self.augment) if self.augment else dict(self.objectives)
        )

    @functools.cached_property
    def known_metrics(self) -> dict[str, Metric]:
        """The metrics that the experiment or its evaluators declare."""
        declared = {
            name: metric for each in self.evaluators for name, metric in each.metrics.items()
        }
        return {**declared, **self.metrics}

    def draw(self, state: State, key: Array) -> list[Sample]:
        """All samples of a state."""
        drawn = [sample(state, key) for sample in self.samples]
        return [one for each in drawn for one in (each if isinstance(each, Sequence) else [each])]


def best_of(experiment: Experiment) -> str:
    """`best` with its direction: "split/metric", "-" in front where lower is better; "" where there
    is none.

    Raises UsageError where it cannot be followed: a split that is not evaluated during training, or
    no direction, or two.
    """
    if not experiment.best:
        return ""
    path = experiment.best.removeprefix("-")
    split, _, name = path.partition("/")
    during = [each for each in experiment.evaluated if each != "test"]
    if split not in during or not name:
        raise UsageError(
            f"best={experiment.best!r} must be SPLIT/METRIC of a split that is evaluated during"
            f" training, one of {', '.join(during) or 'none'} (test is looked at once, at the end):"
            " name such a metric, or leave best out"
        )
    better = known(name, experiment.known_metrics).better
    if experiment.best.startswith("-"):
        if better == "higher":
            raise UsageError(
                f"best={experiment.best!r} says that lower is better, and of {name} higher is:"
                f" write {path!r}"
            )
        better = "lower"
    if better is None:
        raise UsageError(
            f"best={experiment.best!r}: nothing says whether higher or lower is better: declare"
            " it, as "
            f'Experiment(metrics={{"{name}": Metric("higher")}}), with Metric from'
            " dlcore.metrics.known"
        )
    return f"-{path}" if better == "lower" else path
