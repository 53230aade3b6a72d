"""Early stopping: ends a run whose evaluations no longer improve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs.log import records
from dlcore.train.experiment import Experiment, best_of


def exhausted(values: Sequence[float], patience: int, lower: bool) -> bool:
    """Returns whether the last `patience` values are not better than the best one before them.

    Equal values are not better, and NaN never is; the first finite value always is. Fewer than
    `patience` values yield False.

    Args:
        values: of the metric, in the order of the evaluations.
        patience: number of evaluations; 0: the result is False.
        lower: whether lower values are better.
    """
    best, since = math.inf, 0
    for value in values:
        signed = value if lower else -value
        best, since = (signed, 0) if signed < best else (best, since + 1)
    return since >= patience > 0


def check(experiment: Experiment, flags: RunOptions) -> None:
    """Checks that `--patience` has a metric to watch.

    Raises:
        UsageError: it is given, and the experiment has no `best`.
    """
    if flags.patience and not best_of(experiment):
        raise UsageError(
            f"--patience {flags.patience} needs a metric that is evaluated during training, and the"
            " experiment has no `best`: leave --patience out, or give the Experiment one, as"
            ' best="validation/accuracy"'
        )


class Patience:
    """Collects the values of the `best` metric with `note`; `over` says when to stop.

    Args:
        patience: the number of evaluations in a row without improvement that ends the run; 0:
            never.
        best: "split/metric", with "-" in front where lower is better.
        folder: the run; the values in its log up to and including step `start` are read.
        start: the step that training continues from; 0: no log is read.
    """

    def __init__(self, patience: int, best: str, folder: Path, start: int) -> None:
        self.patience, self.lower = patience, best.startswith("-")
        self.split, _, self.metric = best.lstrip("-").partition("/")
        # A resumed run reads the earlier values from its log.
        self.values = self._logged(folder / "metrics.jsonl", start) if patience and start else []

    @property
    def over(self) -> bool:
        """Whether training should stop."""
        return exhausted(self.values, self.patience, self.lower)

    def note(self, results: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the value of an evaluation; NaN where `results` lack the metric.

        Args:
            results: {split: {metric: value}}.
        """
        self.values.append(results.get(self.split, {}).get(self.metric, math.nan))

    def _logged(self, log: Path, until: int) -> list[float]:
        found: dict[int, float] = {}
        for step, record in records(log):
            if record.get("split") != self.split or step > until:
                continue
            # what is measured at the end alone is a record of the best step without the metric
            if self.metric in record or step not in found:
                value = record.get(self.metric)
                found[step] = float(value) if isinstance(value, int | float) else math.nan
        return [found[step] for step in sorted(found)]
