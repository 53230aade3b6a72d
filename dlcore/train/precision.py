"""Mixed precision as a policy on the loss: float32 parameters, a compute type inside, float32
gradients outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.train.step import Batch, Extra, Loss, Objective, Out, Params

Precision = Literal["f32", "bf16"]


def with_precision(
    objectives: Mapping[str, Objective], precision: Precision
) -> dict[str, Objective]:
    """The same objectives, computing in bfloat16: the parameters are rounded on the way in.

    A `Model` rounds the floating arguments of a network with bfloat16 parameters too; nothing else
    of a batch is rounded, neither targets nor weights nor boxes. Gradients pass back through the
    cast, so that parameters, optimizer state and updates stay float32. Sums of losses are float32
    already (`step.mean`); losses cast their logits themselves.
    """
    if precision == "f32":
        return dict(objectives)
    return {
        name: objective._replace(loss=_in_bfloat16(objective.loss))
        for name, objective in objectives.items()
    }


def _in_bfloat16(loss: Loss) -> Loss:
    def rounded(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        return loss(_cast(params), extra, batch, key, train)

    return rounded


def _cast(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x, tree)
