"""A trained model over many examples: predictions to look at, features to measure with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def over(f: Callable[..., Any], *inputs: np.ndarray, batch: int = 500) -> np.ndarray:
    """f(*inputs) on the host, a batch at a time through one compiled program; the last batch is
    padded and cut.
    """
    run, parts = jax.jit(f), []
    for start in range(0, len(inputs[0]), batch):
        rows = [each[start : start + batch] for each in inputs]
        short = batch - len(rows[0])
        full = [
            np.concatenate([part, np.repeat(part[:1], short, 0)]) if short else part
            for part in rows
        ]
        parts.append(np.asarray(run(*full))[: len(rows[0])])
    return np.concatenate(parts)
