"""Windows of a time series: splits in consecutive spans of time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from dlcore.data import source as sources
from dlcore.data.facts import Facts
from dlcore.data.split import Parts, check_fractions
from dlcore.data.splits import Splits
from dlcore.errors import UsageError


def windows(
    length: int,
    inputs: int,
    horizon: int,
    stride: int = 1,
    validation: float = 0.1,
    test: float = 0.1,
    past_inputs: bool = False,
) -> Parts:
    """Computes the starts of the windows of a time series; splits are consecutive spans of time.

    The window that starts at s has the inputs [s, s + inputs) and the targets
    [s + inputs, s + inputs + horizon). It belongs to the split whose span contains its targets;
    windows with targets in two spans are left out.

    Args:
        length: time steps of the series, oldest first.
        inputs, horizon: time steps that a model reads, and that it predicts.
        stride: time steps from one window to the next, counted from the first of each split.
        validation, test: fractions of the time steps, at the end, test last; 0: the split is empty.
        past_inputs: whether windows of validation and test may read inputs from the span before
            their own, as a forecaster in use does. If not, no time step is in two splits.

    Returns:
        {split: starts} of train, validation and test, int64, ascending.

    Raises:
        UsageError: sizes below 1, a fraction below 0, fractions that leave nothing for training, or
            a span too short for one window (which one, and how long it must be).
    """
    check_fractions(validation, test)
    for name, size in (("inputs", inputs), ("horizon", horizon), ("stride", stride)):
        if size < 1:
            raise UsageError(f"{name} = {size}: a window needs 1 at least")
    last = length - round(length * test)
    middle = last - round(length * validation)
    spans = {"train": (0, middle), "validation": (middle, last), "test": (last, length)}
    found = {}
    for name, (begin, end) in spans.items():
        before = inputs if past_inputs and name != "train" else 0
        found[name] = np.arange(begin - before, end - inputs - horizon + 1, stride, dtype=np.int64)
        if not len(found[name]) and (end > begin or name == "train"):
            raise UsageError(
                f"{name} has {end - begin} of {length} time steps, too few for a window of"
                f" {inputs} + {horizon}: it needs {inputs + horizon - before}"
            )
    return found


def from_series(
    series: Shaped[np.ndarray, "time ..."],
    inputs: int,
    horizon: int,
    stride: int = 1,
    validation: float = 0.1,
    test: float = 0.1,
    past_inputs: bool = False,
    name: str = "series",
) -> Splits:
    """Returns splits of the windows of one time series.

    Args:
        series: [time] or [time, channels], oldest first.
        inputs, horizon, stride, validation, test, past_inputs: as of `windows`.
        name: what the data are called in a run's card.

    Returns:
        Splits of `inputs` [inputs, ...] and `targets` [horizon, ...], copied from the series and
        not standardised, without empty ones; facts: `mean` and population standard `deviation` of
        each channel over the training span alone.

    Raises:
        UsageError: as `windows`; or a mean or deviation is not finite.
    """
    parts = windows(len(series), inputs, horizon, stride, validation, test, past_inputs)
    span = series[: len(series) - round(len(series) * test) - round(len(series) * validation)]
    facts = Facts(mean=np.mean(span, 0).tolist(), deviation=np.std(span, 0).tolist())
    found = {}
    for part, starts in parts.items():
        if len(starts):
            rows = series[starts[:, None] + np.arange(inputs + horizon)]
            fields = {"inputs": rows[:, :inputs], "targets": rows[:, inputs:]}
            found[part] = sources.arrays(name, "0", part, fields)
    return Splits.of(found, facts=facts)
