"""Samples of driving: steering over time, errors by direction, and where a policy looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jax import Array

from dlcore.analysis import saliency
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.samples import Images, Plot, Sample, Series, Table, evenly
from dlcore.tasks.driving import BASELINES, saliency_maps, scores, steering_of
from dlcore.train.evaluators import Collected
from dlcore.train.model import Model
from dlcore.train.step import State

_SHOWN = 12
_STRAIGHT = 0.05  # steering of so little, of 1, is straight on


def samples(
    title: str, model: Model, splits: Splits, split: str = "test"
) -> Callable[[State, Array], list[Sample]]:
    """Shows steering over time, errors of network and baselines, and saliency, of mistakes too.

    Args:
        title: what the examples are.
        model: computes steering [batch].
        splits: with `mean_steering` in its facts.
        split: which examples are shown.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        source = splits[split]
        found = steering_of(model, state, source)
        frames, label = evenly(len(source), "frame")
        lines = (("person", found["target"]), ("network", found["steering"]))
        series = tuple(Series(name, frames, y[frames].astype(float)) for name, y in lines)
        measured = scores(found, splits.facts.mean_steering)
        rows = [("network", measured["mse"], measured["mae"])]
        rows += [
            (rule, measured[f"{name}_mse"], measured[f"{name}_mae"])
            for name, rule in BASELINES.items()
        ]
        # evenly from the sharpest left to the sharpest right
        order = np.argsort(found["target"], kind="stable")
        even = order[np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).astype(int)]
        errors = np.abs(found["steering"] - found["target"])
        worst = np.argsort(-errors, kind="stable")[:_SHOWN]
        shown = {
            f"{title}: steering, and in red the pixels that change it most": even,
            f"{title}: the largest errors": worst,
        }
        return [
            Plot(f"{title}: steering over time", label, "steering", series),
            Table(f"{title}: mean errors", ("steering by", "squared", "absolute"), tuple(rows)),
            by_direction(title, found, splits.facts.mean_steering),
            *_looks(model, state, source, found, shown),
        ]

    return draw


def by_direction(title: str, found: Mapping[str, np.ndarray], mean: float) -> Table:
    """Tabulates mean absolute errors where a person steers left, straight on and right.

    Straight on is a steering from -0.05 to 0.05, both included; left is below.

    Args:
        title: what the frames are.
        found: as `collected` of `scores`.
        mean: mean steering of training.

    Returns:
        A row per direction that occurs: number of frames, errors of network and baselines.
    """
    rows: list[tuple[str | float, ...]] = []
    target = found["target"]
    for name, here in (
        ("left", target < -_STRAIGHT),
        ("straight on", np.abs(target) <= _STRAIGHT),
        ("right", target > _STRAIGHT),
    ):
        if here.any():
            measured = scores({each: array[here] for each, array in found.items()}, mean)
            errors = (measured["mae"], *(measured[f"{each}_mae"] for each in BASELINES))
            rows.append((name, int(here.sum()), *(round(error, 4) for error in errors)))
    head = ("a person steers", "frames", "network", *BASELINES.values())
    return Table(f"{title}: mean absolute error by direction", head, tuple(rows))


def _looks(
    model: Model,
    state: State,
    source: Source,
    found: Collected,
    shown: Mapping[str, np.ndarray],
) -> list[Images]:
    """Frames with the pixels that matter, for each title those of its indices."""
    index = np.concatenate(list(shown.values()))  # one program for all
    batch = {**source.gather(index), "row": np.arange(len(index), dtype=np.int32)}
    frames = saliency.overlay(batch["image"][:, -1], saliency_maps(model, state, batch))
    captions = [
        f"{a:+.2f}, person {b:+.2f}"
        for a, b in zip(found["steering"][index], found["target"][index], strict=True)
    ]
    images, start = [], 0
    for title, each in shown.items():
        rows = slice(start, start := start + len(each))
        images.append(Images(title, frames[rows], tuple(captions[rows]), columns=4))
    return images
