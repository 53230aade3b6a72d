"""Training data of which only a few examples have labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

_SEED = 450


def labelled(label: np.ndarray, fraction: float) -> np.ndarray:
    """Chooses a fraction of the examples of each class, rounded, but at least one of each.

    The examples of a smaller fraction are among those of a larger one; the seed is fixed.

    Args:
        label: class of each example, int [n].
        fraction: in (0, 1].

    Returns:
        Sorted indices of the chosen examples.

    Raises:
        UsageError: the fraction is outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"a fraction of labels is above 0 and at most 1, not {fraction}")
    random = np.random.RandomState(_SEED)  # its stream is frozen for good
    chosen = []
    for value in np.unique(label):
        index = random.permutation(np.flatnonzero(label == value))
        chosen.append(index[: max(1, round(fraction * len(index)))])
    return np.sort(np.concatenate(chosen))


def with_few(splits: Splits, fractions: Sequence[float]) -> Splits:
    """Adds a field `labelled` to all splits, which marks the labels that may be used.

    Args:
        splits: with `label`; train is in memory.
        fractions: of the labels, each in (0, 1].

    Returns:
        Splits with `labelled` uint8 [len(fractions)] per example: in train 1 where the label is
        among those that `labelled` chooses for the fraction, else 0; in the other splits 1.

    Raises:
        UsageError: train is not in memory, or a fraction is outside its range.
    """
    train = _in_memory(splits)
    marks = np.zeros((len(train), len(fractions)), np.uint8)
    for column, fraction in enumerate(fractions):
        marks[labelled(np.asarray(train.arrays["label"]), fraction), column] = 1
    every = {"labelled": lambda batch: np.ones((len(batch["label"]), len(fractions)), np.uint8)}
    return splits.map(train={"labelled": lambda batch: marks}, held_out=every)


def only_few(splits: Splits, fraction: float) -> Splits:
    """Reduces the training split to the examples that `labelled` chooses.

    Args:
        splits: with `label`; train is in memory.
        fraction: of the labels, in (0, 1].

    Returns:
        Splits with another train; the other splits are unchanged.

    Raises:
        UsageError: train is not in memory, or the fraction is outside its range.
    """
    train = _in_memory(splits)
    index = labelled(np.asarray(train.arrays["label"]), fraction)
    contents = {name: np.asarray(array)[index] for name, array in train.arrays.items()}
    info = train.info
    made = arrays(info.name, info.version, f"{info.split}, {fraction:g} of the labels", contents)
    return dataclasses.replace(splits, train=made)


def _in_memory(splits: Splits) -> Arrays:
    if not isinstance(splits.train, Arrays):
        raise UsageError(f"{splits.train.info.name} is not in memory: its labels cannot be chosen")
    return splits.train
