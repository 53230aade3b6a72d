"""Evaluators: every example is collected once, on any number of devices, and each runs when it
says.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import sharding
from dlcore.data.source import arrays
from dlcore.metrics.known import Metric
from dlcore.train.evaluators import Collected, Collector, OfState, Scored, is_due
from dlcore.train.step import State

VALUES = np.arange(1, 12, dtype=np.float32)  # eleven: no batch below divides it
SOURCE = arrays("made", "1", "validation", {"x": VALUES})
STATE = State(jnp.zeros((), jnp.int32), {"net": jnp.array(2.0)}, {}, {})


def median(collected: Collected, split: str) -> dict[str, float]:
    """No mean over examples."""
    assert split == "validation"
    return {"median": float(np.median(collected["y"])), "examples": len(collected["y"])}


def doubled(state: State, batch: Any) -> dict[str, jax.Array]:
    return {"y": state.params["net"] * batch["x"]}


MEDIAN = Scored(
    {"validation": SOURCE}, doubled, median, {"median": Metric("higher"), "examples": Metric(None)}
)


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("batch", [8, 16])
def test_every_example_is_collected_once_and_no_padding(batch: int, devices: int) -> None:
    layout = sharding.layout("jit", "", jax.devices()[:devices])
    assert Collector(layout, batch)(MEDIAN, STATE, "validation") == {"median": 12.0, "examples": 11}


def test_collected_arrays_keep_the_order_of_the_source() -> None:
    seen: list[np.ndarray] = []

    def keep(collected: Collected, split: str) -> dict[str, float]:
        seen.append(collected["y"])
        return {}

    layout = sharding.layout("jit", "", jax.devices()[:4])
    Collector(layout, 8)(Scored({"validation": SOURCE}, doubled, keep, {}), STATE, "validation")
    np.testing.assert_array_equal(seen[0], 2 * VALUES)


def test_each_batch_may_be_reduced_to_arrays_of_any_length() -> None:
    lengths: list[int] = []

    def large(collected: Collected) -> Collected:
        lengths.append(len(collected["y"]))
        return {"large": collected["y"][collected["y"] > 7]}

    def keep(collected: Collected, split: str) -> dict[str, float]:
        assert collected.keys() == {"large"}
        return {"sum": collected["large"].sum()}

    scored = Scored({"validation": SOURCE}, doubled, keep, {}, reduces=large)
    layout = sharding.layout("jit", "", jax.devices()[:4])
    made = Collector(layout, 8)(scored, STATE, "validation")
    assert made == {"sum": 2 * VALUES[VALUES > 3.5].sum()}
    assert lengths == [8, 3]


def test_an_evaluator_of_the_state_collects_nothing() -> None:
    layout = sharding.layout("jit", "", jax.devices()[:1])
    norm = OfState(
        "test", lambda state: {"norm": float(state.params["net"])}, {"norm": Metric("lower")}
    )
    assert Collector(layout, 8)(norm, STATE, "test") == {"norm": 2.0}


@pytest.mark.parametrize(
    ("every", "step", "regular", "due"),
    [
        ("eval", 10, True, True),
        ("eval", 10, False, False),
        ("end", 10, True, False),
        (5, 10, False, True),
        (4, 10, True, False),
    ],
)
def test_each_runs_when_it_says(every: Any, step: int, regular: bool, due: bool) -> None:
    evaluator = OfState("validation", lambda state: {}, {}, every=every)
    assert is_due(evaluator, step, regular) == due
