"""Losses that several experiments share: each makes a `step.Loss` from a function that runs the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from dlcore.train.step import Batch, Extra, Params

# (params, extra, batch, key, train) -> (logits, extra)
Logits = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Array, Any]]
