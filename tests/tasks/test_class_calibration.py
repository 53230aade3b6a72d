"""Calibration of classes by hand, and the class that is most frequent in training."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.source import arrays
from dlcore.data.splits import Splits
from dlcore.tasks import class_calibration
from dlcore.train.step import State

pytestmark = pytest.mark.quick
STATE = State(jnp.zeros((), jnp.int32), {}, {}, {})


def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """The class that the image names has a probability of 3/4 of two."""
    return jnp.log(jnp.where(jnp.arange(2)[None] == batch["image"][:, None], 0.75, 0.25)), extra


def splits() -> Splits:
    def split(name: str, image: list[int], label: list[int]) -> Any:
        pair = {"image": np.array(image), "label": np.array(label, np.int32)}
        return arrays("made", "1", name, pair)

    return Splits.of(
        train=split("train", [0, 0, 0], [0, 1, 1]),
        validation=split("validation", [0, 1], [0, 1]),
        test=split("test", [0, 1, 1, 0], [0, 1, 1, 1]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "online_"])
def test_values_by_hand(prefix: str) -> None:
    made = splits()
    evaluator = class_calibration.evaluator(model, made, prefix)
    for name, right, majority in (("validation", 1.0, 0.5), ("test", 0.75, 0.75)):
        collected = evaluator.collect(STATE, made[name].gather(np.arange(len(made[name]))))
        arrays = {name: np.asarray(array) for name, array in collected.items()}
        found = evaluator.score(STATE, arrays, name)
        assert found.keys() == evaluator.metrics.keys()
        assert found[f"{prefix}calibration_error"] == pytest.approx(abs(right - 0.75), abs=1e-6)
        assert found["majority_accuracy"] == majority
        assert found.get(f"{prefix}accuracy", right) == right
        assert (f"{prefix}accuracy" in found) == bool(prefix)
