"""Mixed precision as a policy on the loss: float32 parameters, a compute type inside, float32 gradients outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.train.step import Batch, Extra, Loss, Objective, Out, Params

Precision = Literal["f32", "bf16"]


def with_precision(
    objectives: Mapping[str, Objective], precision: Precision, inputs: Collection[str] = ()
) -> dict[str, Objective]:
    """The same objectives, computing in bfloat16: parameters, and the arrays of the batch named in `inputs`, are rounded on the way in.

    `inputs` is what the experiment declares (`Experiment.inputs`). All else in a batch keeps its bits: targets, weights, boxes.
    Gradients pass back through the cast, so that parameters, optimizer state and updates stay float32. Sums of losses are
    float32 already (`step.mean`); losses cast their logits themselves.
    """
    if precision == "f32":
        return dict(objectives)
    return {name: objective._replace(loss=_in_bfloat16(objective.loss, inputs)) for name, objective in objectives.items()}


def rounded(inputs: Collection[str], batch: Mapping[str, Any]) -> str:
    """What `with_precision` rounds of such a batch, and what it leaves, in words."""
    floating = sorted(name for name, x in batch.items() if x.dtype == np.float32)
    left = [name for name in floating if name not in inputs]
    told = ["parameters", *(name for name in floating if name in inputs)]
    return f"in bfloat16: {', '.join(told)}" + (f"; not declared as `inputs`, so in float32: {', '.join(left)}" if left else "")


def _in_bfloat16(loss: Loss, inputs: Collection[str]) -> Loss:
    def wrapped(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        batch = {name: _cast(x) if name in inputs else x for name, x in batch.items()}
        return loss(_cast(params), extra, batch, key, train)

    return wrapped


def _cast(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x, tree)
