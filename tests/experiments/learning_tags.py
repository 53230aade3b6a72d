"""What can be said of tags without looking at a word's neighbours."""

from __future__ import annotations

from collections.abc import Callable

from dlcore.tasks import tagging
from dlcore.train.experiment import Experiment


def majority(metric: str) -> Callable[[Experiment], float]:
    """A score on validation of each word's most frequent tag in training."""

    def measured(experiment: Experiment) -> float:
        splits = experiment.splits
        return tagging.majority(splits.train, splits.validation, splits.facts)[metric]

    return measured
