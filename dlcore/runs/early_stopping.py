"""Early stopping: when evaluations have stopped getting better, read from what the run has
logged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs.log import records
from dlcore.train.experiment import Experiment, best_of


def exhausted(values: Sequence[float], patience: int, lower: bool) -> bool:
    """Did the last `patience` values bring nothing better than the best before them? Equal is not
    better, NaN never is.
    """
    best, since = math.inf, 0
    for value in values:
        signed = value if lower else -value
        best, since = (signed, 0) if signed < best else (best, since + 1)
    return since >= patience > 0


def check(experiment: Experiment, flags: RunOptions) -> None:
    """Raises UsageError where `--patience` has nothing to watch."""
    if flags.patience and not best_of(experiment):
        raise UsageError(
            f"--patience {flags.patience} needs a metric that is evaluated during training, and the"
            " experiment has no `best`: leave --patience out, or give the Experiment one, as"
            ' best="validation/accuracy"'
        )


class Patience:
    """The values of `best` ("split/metric", "-" in front: lower is better) at every evaluation up
    to now.
    """

    def __init__(self, patience: int, best: str, folder: Path, start: int) -> None:
        self.patience, self.lower = patience, best.startswith("-")
        self.split, _, self.metric = best.lstrip("-").partition("/")
        # All that a resumed run has to know stands in its log, up to the step that it goes on from.
        self.values = self._logged(folder / "metrics.jsonl", start) if patience and start else []

    @property
    def over(self) -> bool:
        """Is it time to stop?"""
        return exhausted(self.values, self.patience, self.lower)

    def note(self, results: Mapping[str, Mapping[str, float]]) -> None:
        """Take in an evaluation."""
        self.values.append(results.get(self.split, {}).get(self.metric, math.nan))

    def _logged(self, log: Path, until: int) -> list[float]:
        found: dict[int, float] = {}
        for record in records(log):
            if record.get("split") == self.split and record["step"] <= until:
                value = record.get(self.metric)
                found[record["step"]] = math.nan if value is None else float(value)
        return [found[step] for step in sorted(found)]
