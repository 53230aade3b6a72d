"""The compiled programs that a run uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dlcore import sharding
from dlcore.analysis.diagnosis_summary import Row
from dlcore.data import checks
from dlcore.data.source import Source
from dlcore.train.step import Batch, State

Evaluate = Callable[[State, Source], dict[str, float]]


Step = Callable[[Any, Any], tuple[Any, Any]]


Diagnose = Callable[[State, Batch], dict[str, list[Row]]]


class Lane(NamedTuple):
    """What a run has from the program that it shares with others, in place of a program of its own."""

    layout: sharding.Layout
    abstract: State
    make: Callable[[], State]
    step: Step
    names: list[str]
    evaluate: Evaluate
    eval_names: Callable[[Source], list[str]]
    diagnose: Diagnose
    start: int
    together: int
    indices: Mapping[str, checks.Indices]
