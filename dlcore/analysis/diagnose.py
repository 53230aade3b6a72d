"""Diagnosis of training from one batch: norms of gradients and updates, and dead units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.analysis.diagnosis_summary import Row
from dlcore.sharding import Layout, Tree
from dlcore.train.step import Batch, Objective, State, proposals

# Runs of at least so many steps are diagnosed by default: compiling a diagnosis takes two thirds of
# the time of compiling the step.
WORTH = 1000


def measure(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    seed: int | Array,
    microbatches: int = 1,
) -> dict[str, Array]:
    """Computes norms and dead units of all parameter tensors, for one batch; pure.

    Every objective is measured at `state`: other than in `train_step`, none sees the updates of
    those before it, and those that are not due in this step (`Objective.every`) are measured too.

    Args:
        objectives, state, batch, seed, microbatches: as of `train_step`; the state is not changed.

    Returns:
        {objective: float32 [tensors, 4]}, one row per parameter tensor, in the order of
        `jax.tree.leaves`: L2 norms of its gradient, its value and its update, and number of its
        dead units. A unit is an index of the last axis; it is dead where its gradient is 0. Tensors
        of one dimension have no units.
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

    results = proposals(objectives, state, batch, seed=seed, microbatches=microbatches)
    return {
        name: rows(state.params[name], grads, updates) for name, (grads, updates) in results.items()
    }


def named(params: Tree, numbers: np.ndarray) -> list[Row]:
    """Converts what `measure` returns for one objective to rows with the names of the tensors.

    Args:
        params: parameters of the objective.
        numbers: [tensors, 4], as `measure` returns them for it.

    Returns:
        The rows, sorted by name, numbers in it by value: `Dense_2` before `Dense_10`. Tensors that
        are called bias or scale have 0 units, whatever their dimensions.
    """
    rows = []
    for (path, leaf), (grad, weight, update, dead) in zip(
        jax.tree_util.tree_leaves_with_path(params),
        np.asarray(numbers, np.float64).tolist(),
        strict=True,
    ):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        # Biases and scales of parallel networks have two dimensions, but are not kernels.
        units = (
            leaf.shape[-1] if len(leaf.shape) > 1 and not name.endswith(("bias", "scale")) else 0
        )
        rows.append(Row(name, grad, weight, update, units, int(dead) if units else 0))
    return sorted(
        rows,
        key=lambda row: [
            int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", row.name)
        ],
    )


def diagnose(
    objectives: Mapping[str, Objective], state: State, batch: Batch, seed: int
) -> dict[str, list[Row]]:
    """Returns {objective: rows of its tensors} for one batch; see `measure`, which it compiles.

    Args:
        objectives, state, batch, seed: as of `train_step`; the state is not changed.
    """
    measured = jax.device_get(
        jax.jit(lambda state, batch: measure(objectives, state, batch, seed))(state, batch)
    )
    return {name: named(state.params[name], numbers) for name, numbers in measured.items()}


def in_a_hurry() -> dict[str, int] | None:
    """Returns compiler options that shorten compilation, for a program that runs a few times only.

    Returns:
        On the CPU XLA's backend optimisation level 1, which does not slow down matrix products,
        since a library computes them; None, the default options, on accelerators.
    """
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None


class Diagnosis:
    """Computes `diagnose` for a run: a callable (state, batch) -> {objective: rows}.

    It runs on the run's devices and is compiled once, at the first call. The state is not changed.
    """

    def __init__(
        self, objectives: Mapping[str, Objective], layout: Layout, seed: int, microbatches: int
    ) -> None:
        """Sets up the compiled function; nothing is compiled before the first call.

        Args:
            objectives, seed, microbatches: as of `train_step`.
            layout: the devices.
        """
        self.run: Callable[[State, Batch], dict[str, Array]] = jax.jit(
            lambda state, batch: measure(objectives, state, batch, seed, microbatches),
            out_shardings=layout.everywhere,
            compiler_options=in_a_hurry(),
        )

    def __call__(self, state: State, batch: Batch) -> dict[str, list[Row]]:
        """Returns {objective: rows} for a batch, see `named`; the state is not changed."""
        measured = jax.device_get(self.run(state, batch))
        return {name: named(state.params[name], numbers) for name, numbers in measured.items()}
