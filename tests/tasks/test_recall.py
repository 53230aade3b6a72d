"""Recall: the last symbols of a sequence, scored and shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.source import arrays
from dlcore.tasks import recall

STATE: Any = SimpleNamespace(params={}, extra={})
TARGETS = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 1]])
SOURCE = arrays("made", "1", "test", {"targets": TARGETS})


def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """Logits of a model that says 1 wherever the target is below 2, and is right elsewhere."""
    assert key is None
    assert not train
    said = jnp.where(batch["targets"] < 2, 1, batch["targets"])
    return jax.nn.one_hot(said, 4), extra


@pytest.mark.slow
def test_only_the_last_symbols_of_the_first_examples_count() -> None:
    evaluator = recall.evaluator(model, SOURCE, length=2, count=2)  # type: ignore[arg-type]
    tested = evaluator.sources["test"]
    assert tested is not None
    assert len(tested) == 2
    batch = {"targets": jnp.asarray(tested.gather(np.arange(2))["targets"])}
    collected = {name: np.asarray(x) for name, x in evaluator.collect(STATE, batch).items()}
    assert evaluator.score(STATE, collected, "test") == {"recalled": 0.75}
    assert evaluator.metrics["recalled"].better == "higher"
    assert evaluator.every == "end"


@pytest.mark.slow
def test_the_table_has_a_row_of_symbols_for_each_example() -> None:
    draw = recall.samples("Last symbols", model, SOURCE, length=3, count=2)  # type: ignore[arg-type]
    table: Any = draw(STATE, jax.random.key(0))
    assert table.title == "Last symbols"
    assert table.rows == (("1 2 3", "1 2 3"), ("2 1 0", "2 1 1"))
    more: Any = recall.samples("More", model, SOURCE, length=3, count=99)(STATE, jax.random.key(0))  # type: ignore[arg-type]
    assert len(more.rows) == len(SOURCE)
