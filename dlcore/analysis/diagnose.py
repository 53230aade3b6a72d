"""What is wrong with training, read from one batch: every tensor's gradient, its update, and its
dead units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.analysis.diagnosis_summary import Row
from dlcore.sharding import Layout
from dlcore.train.step import Batch, Objective, State, proposals

Tree = Any
# steps: to compile a diagnosis takes two thirds of the time to compile the step, too much for a
# trial
WORTH = 1000


def measure(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    seed: int | Array,
    microbatches: int = 1,
) -> dict[str, Array]:
    """{objective: [tensors, 4]}: norms of gradient, tensor and update, and dead units, in the order
    of `jax.tree.leaves`. Pure.
    """

    def norm(x: Array) -> Array:
        return jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32))))

    def dead(grad: Array) -> Array:
        return (
            (grad == 0).all(range(grad.ndim - 1)).sum()
            if grad.ndim > 1
            else jnp.zeros((), jnp.int32)
        )

    def rows(params: Tree, grads: Tree, updates: Tree) -> Array:
        leaves = zip(*(jax.tree.leaves(tree) for tree in (params, grads, updates)), strict=True)
        return jnp.stack(
            [
                jnp.stack([norm(g), norm(p), norm(u), dead(g).astype(jnp.float32)])
                for p, g, u in leaves
            ]
        )

    made = proposals(objectives, state, batch, seed=seed, microbatches=microbatches)
    return {
        name: rows(state.params[name], grads, updates) for name, (grads, updates) in made.items()
    }


def named(params: Tree, numbers: np.ndarray) -> list[Row]:
    """The rows of `measure` with the names of their tensors, `Dense_2` before `Dense_10`."""
    rows = []
    for (path, leaf), (grad, weight, update, dead) in zip(
        jax.tree_util.tree_leaves_with_path(params),
        np.asarray(numbers, np.float64).tolist(),
        strict=True,
    ):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        # Networks side by side have biases of two dimensions: no kernels for that.
        units = (
            leaf.shape[-1] if len(leaf.shape) > 1 and not name.endswith(("bias", "scale")) else 0
        )
        rows.append(Row(name, grad, weight, update, units, int(dead) if units else 0))
    return sorted(
        rows,
        key=lambda row: [
            int(part) if part.isdigit() else part for part in re.split(r"(\d+)", row.name)
        ],
    )


def diagnose(
    objectives: Mapping[str, Objective], state: State, batch: Batch, seed: int
) -> dict[str, list[Row]]:
    """A row for every tensor of every objective: what the next step would do with this batch.
    Nothing is changed.
    """
    found = jax.device_get(
        jax.jit(lambda state, batch: measure(objectives, state, batch, seed))(state, batch)
    )
    return {name: named(state.params[name], numbers) for name, numbers in found.items()}


def in_a_hurry() -> dict[str, int] | None:
    """Options for a program that runs a few times only: its products of matrices are a library's in
    any case.
    """
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None


class Diagnosis:
    """`diagnose` for a run: compiled once, on the run's devices, kept as lines of
    diagnostics.jsonl.
    """

    def __init__(
        self, objectives: Mapping[str, Objective], layout: Layout, seed: int, microbatches: int
    ) -> None:
        self.run: Callable[[State, Batch], dict[str, Array]] = jax.jit(
            lambda state, batch: measure(objectives, state, batch, seed, microbatches),
            out_shardings=layout.everywhere,
            compiler_options=in_a_hurry(),
        )

    def __call__(self, state: State, batch: Batch) -> dict[str, list[Row]]:
        """The rows of each objective."""
        found = jax.device_get(self.run(state, batch))
        return {name: named(state.params[name], numbers) for name, numbers in found.items()}
