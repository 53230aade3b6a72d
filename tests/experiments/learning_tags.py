"""A baseline of tagging that ignores a word's neighbours."""

from __future__ import annotations

from collections.abc import Callable

from dlcore.tasks import tagging
from dlcore.train.experiment import Experiment


def majority(metric: str) -> Callable[[Experiment], float]:
    """Returns (experiment) -> a metric on validation of each word's most frequent training tag."""

    def measured(experiment: Experiment) -> float:
        splits = experiment.splits
        return tagging.majority(splits.train, splits.validation, splits.facts)[metric]

    return measured
