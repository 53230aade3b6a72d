"""What an experiment file builds: models, objectives, data, and what to measure and show."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

from jax import Array
from jaxtyping import PRNGKeyArray

from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.known import Better, Metric, known
from dlcore.samples import Sample
from dlcore.sharding import Rules
from dlcore.train.evaluators import Evaluator
from dlcore.train.model import Model, augment_batch
from dlcore.train.predictor import Generator, Predictor
from dlcore.train.step import Batch, Objective, State
from dlcore.train.text_model import TextModel
from dlcore.train.weights import Weights

Results = Mapping[str, Mapping[str, float]]  # {split: {metric: value}}
Draw = Callable[[State, Array], Sample | Sequence[Sample]]


class Published(NamedTuple):
    """A published result with which an experiment is compared.

    Attributes:
        metric: name of the metric.
        value: its published value.
        source: where it was published.
        better: "higher" or "lower": which values are better.
        split: the split on which it was measured.
        caveat: what is not certain of it, as "second-hand" where the source quotes another one; "":
            it was read in its source, which says how it was measured.
    """

    metric: str
    value: float
    source: str
    better: Better = "higher"
    split: str = "test"
    caveat: str = ""


class Config(Protocol):
    """The dataclass of an experiment file, whose fields are flags."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]

    @property
    def batch(self) -> int:
        """Number of examples per step, over all devices."""

    @property
    def steps(self) -> int:
        """Number of training steps."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A model family on a data set, with all that a run needs to train it.

    Attributes:
        config: the experiment file's `Config`; its `batch` is the number of examples per step, its
            `steps` the number of steps.
        models: the networks, each with the name of its parameters. A model without an objective is
            frozen.
        objectives: {name: Objective}; each trains the parameters of its name. Their order is the
            order of updates.
        splits: the data. Losses and metrics are evaluated on the splits in `splits.scored`; "test"
            is evaluated once, at the end.
        augment: (batch, key) -> batch, applied to training batches inside the compiled step.
        load: {"model/path", or "model" for all its parameters: Weights}: parameters that are
            initialised from another run.
        evaluators: metrics that are not means over examples (train/evaluators.py).
        samples: functions (state, key) -> one sample or a sequence of them, shown in the report in
            this order.
        predictor: answers to a user's files or texts, or generates examples.
        text_model: a language model and its tokens, with which `dlcore chat` converses.
        best: "split/metric", a metric that is evaluated during training. The best state is kept,
            and is what test evaluation, samples and export use; "": these use the last state.
            Whether lower is better is declared in `metrics`, by an evaluator or in the table of
            known metrics; or by "-" in front.
        metrics: {name: Metric}: direction and unit of metrics that `dlcore.metrics.known.KNOWN`
            does not list.
        published: a published result to compare with.
        tensor_parallel: rules (regular expression that is searched in a parameter's path, mesh axis
            or None of each of its dimensions); the first that matches is used, see
            `sharding.sharding`.
    """

    config: Config
    models: Sequence[Model]
    objectives: Mapping[str, Objective]
    splits: Splits
    augment: Callable[[Batch, Array], Batch] | None = None
    load: Mapping[str, Weights] = dataclasses.field(default_factory=dict)
    evaluators: Sequence[Evaluator] = ()
    samples: Sequence[Draw] = ()
    predictor: Predictor | Generator | None = None
    text_model: TextModel | None = None
    best: str = ""
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    published: Published | None = None
    tensor_parallel: Rules = ()

    @property
    def batch(self) -> int:
        """Number of examples per step, over all devices."""
        return int(self.config.batch)

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return int(self.config.steps)

    @property
    def train(self) -> Source:
        """The training examples."""
        return self.splits.train

    @functools.cached_property
    def evaluated(self) -> dict[str, Source]:
        """{split: source} of the splits on which losses are evaluated; "test" at the end alone."""
        return self.splits.evaluated()

    @functools.cached_property
    def trained(self) -> dict[str, Objective]:
        """Returns the objectives; with `augment`, their losses apply it where `train` is true.

        They serve evaluation too, where `train` is false and the batch is not changed.
        """
        return (
            augment_batch(self.objectives, self.augment) if self.augment else dict(self.objectives)
        )

    @functools.cached_property
    def known_metrics(self) -> dict[str, Metric]:
        """{name: Metric} that the experiment and its evaluators declare; the experiment's win."""
        declared = {
            name: metric for each in self.evaluators for name, metric in each.metrics.items()
        }
        return {**declared, **self.metrics}

    def draw(self, state: State, key: PRNGKeyArray) -> list[Sample]:
        """Returns all samples of a state.

        Args:
            state: the state to show; its `params` are used as they are, so that for averaged
                parameters `evaluate.averaged(state)` is passed.
            key: for samples that are random.
        """
        samples: list[Sample] = []
        for draw in self.samples:
            result = draw(state, key)
            samples.extend(result if isinstance(result, Sequence) else [result])
        return samples


def best_of(experiment: Experiment) -> str:
    """Returns `experiment.best` with its direction: with "-" in front where lower is better.

    Returns:
        "split/metric", "-split/metric", or "" where the experiment names no best metric.

    Raises:
        UsageError: `best` has no metric or a split that is not evaluated during training, or the
            direction is unknown or contradicts the declared one.
    """
    if not experiment.best:
        return ""
    path = experiment.best.removeprefix("-")
    split, _, name = path.partition("/")
    during = [each for each in experiment.evaluated if each != "test"]
    if split not in during or not name:
        raise UsageError(
            f"best={experiment.best!r} must be SPLIT/METRIC of a split that is evaluated during"
            f" training, one of {', '.join(during) or 'none'} (test is evaluated once, at the end):"
            " name such a metric, or leave best out"
        )
    better = known(name, experiment.known_metrics).better
    if experiment.best.startswith("-"):
        if better == "higher":
            raise UsageError(
                f"best={experiment.best!r} says that lower is better, but {name} is declared as"
                f" better when higher: write {path!r}"
            )
        better = "lower"
    if better is None:
        raise UsageError(
            f"best={experiment.best!r}: {name} is no metric that dlcore knows: correct the name, or"
            " declare whether higher or lower is better, as "
            f'Experiment(metrics={{"{name}": Metric("higher")}}), with Metric from'
            " dlcore.metrics.known"
        )
    return f"-{path}" if better == "lower" else path
