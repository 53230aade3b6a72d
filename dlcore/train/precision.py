"""Mixed precision: losses computed in bfloat16, with parameters and gradients in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.sharding import Tree
from dlcore.train.step import Batch, Extra, Loss, Objective, Out, Params

Precision = Literal["f32", "bf16"]


def with_precision(
    objectives: Mapping[str, Objective], precision: Precision
) -> dict[str, Objective]:
    """Returns objectives that compute in the given precision, in training and in evaluation.

    With "bf16" the loss receives parameters rounded to bfloat16, and a `Model` rounds the float32
    arguments of a network with such parameters too, but those that it declares `unrounded`. Nothing
    else of a batch is rounded: targets, weights and boxes keep their bits. Gradients pass back
    through the cast, so that parameters, optimizer state and updates stay float32. `step.mean` sums
    in float32, and losses cast their logits themselves.

    Args:
        objectives: {name: Objective}.
        precision: "f32" (unchanged) or "bf16".
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


def _cast(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x, tree)
