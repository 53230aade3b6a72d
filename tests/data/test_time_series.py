"""Windows of a time series: no target is seen before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore.data import time_series
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def test_windows_by_hand() -> None:
    assert {
        name: each.tolist() for name, each in time_series.windows(20, 3, 2, 1, 0.25, 0.25).items()
    } == {
        "train": [0, 1, 2, 3, 4, 5],  # the last one reads 5, 6, 7 and predicts 8, 9
        "validation": [10],
        "test": [15],
    }
    past = time_series.windows(20, 3, 2, 2, 0.25, 0.25, past_inputs=True)
    assert past["train"].tolist() == [0, 2, 4]
    assert past["validation"].tolist() == [7, 9]  # predicts 10, 11, then 12, 13
    assert past["test"].tolist() == [12, 14]


@settings(deadline=None, max_examples=60)
@given(st.integers(40, 90), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_no_target_is_seen_before(
    length: int, inputs: int, horizon: int, stride: int, past: bool
) -> None:
    parts = time_series.windows(length, inputs, horizon, stride, 0.2, 0.2, past)
    span = np.arange(inputs + horizon)
    steps = {name: {*(starts[:, None] + span).flat} for name, starts in parts.items()}
    aims = {name: {*(starts[:, None] + span[inputs:]).flat} for name, starts in parts.items()}
    assert max(steps["train"]) < min(aims["validation"])
    assert max(steps["validation"]) < min(aims["test"])
    assert max(steps["test"]) < length
    if not past:
        assert not steps["train"] & steps["validation"]
        assert not steps["validation"] & steps["test"]


def test_a_series_is_a_data_set_in_one_line() -> None:
    series = np.arange(40.0).reshape(20, 2)
    splits = time_series.from_series(series, 3, 2, validation=0.25, test=0.25)
    first = splits.train.gather(np.array([1]))
    assert first["inputs"].tolist() == [[[2, 3], [4, 5], [6, 7]]]
    assert first["targets"].tolist() == [[[8, 9], [10, 11]]]
    assert splits.facts.mean == [9, 10]  # of the ten time steps for training
    assert splits.facts.deviation == [np.std(series[:10, 0])] * 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [(3, "validation has 2 of 20 time steps"), (0, "inputs = 0")],
)
def test_refusals_say_why(inputs: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        time_series.windows(20, inputs, 2)


def test_fractions_whose_rounding_leaves_no_time_for_training_are_refused() -> None:
    """Else windows of validation would begin before the first time step."""
    with pytest.raises(UsageError, match="train has 0 of 11 time steps, too few for a window"):
        time_series.windows(11, 2, 1, validation=0.45, test=0.5, past_inputs=True)
