"""The contender in PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def fill(parameter: Any, value: np.ndarray) -> None:
    """Set a parameter to an array of its shape."""
    import torch

    with torch.no_grad():
        parameter.copy_(torch.tensor(np.ascontiguousarray(value)))


def training(loss: Callable[[], Any], optimizer: Any, before: Callable[[], Any] = lambda: None) -> Callable[[], Any]:
    """A step of `loss()`; `before` runs between the gradient and the update (clipping)."""

    def step() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        before()
        optimizer.step()
        return value.detach()

    return step
