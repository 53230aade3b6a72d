"""The training step: every objective updates its own parameters in one shared state.

No other file calls `jax.grad` for training, or `optax.apply_updates`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Integer, Shaped

from dlcore.kernels.rows import device_sum, square_sum
from dlcore.sharding import Tree
from dlcore.train.accumulate import over_microbatches

Params = Mapping[str, Tree]  # {model: its parameters}
Extra = Mapping[str, Tree]  # {model: its collections besides "params", such as batch statistics}
Batch = Mapping[str, Array]  # {field: [rows, ...]}, with `row` (int32) and `mask` (float32)


class Mean(NamedTuple):
    """A mean as numerator and denominator.

    Means add exactly over examples, microbatches, devices and batches; the division happens once,
    after the last sum.

    Attributes:
        total: sum of weighted values, float scalar.
        weight: sum of the weights, float scalar.
    """

    total: Float[Array, "*batch"]
    weight: Float[Array, "*batch"]


class Out(NamedTuple):
    """Holds what a loss returns: means that are not divided yet, and the extra state.

    Attributes:
        loss: the `Mean` that is minimised.
        metrics: further `Mean`s to log, by name.
        extra: the extra state after this forward pass, of all models.
    """

    loss: Mean
    metrics: Mapping[str, Mean]
    extra: Extra


# (params, extra, batch, key, train) -> Out. A pure function of the parameters of all models; it is
# differentiated with respect to those of its objective's name alone. `key` depends on seed, step
# and objective: fold `batch["row"]` into it for what differs between examples (kernels/random.py).
Loss = Callable[[Params, Extra, Batch, Array, bool], Out]


class Objective(NamedTuple):
    """A loss and the optimizer that minimises it with respect to the parameters of its name.

    Attributes:
        loss: the loss.
        optimizer: its updates are added to the parameters.
        every: the objective is updated in steps `every`, 2 `every`, ..., counted from 1, and
            skipped in all others.
    """

    loss: Loss
    optimizer: optax.GradientTransformation
    every: int = 1


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["step", "params", "extra", "opt"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class State:
    """Everything that changes in training and that a checkpoint saves.

    Attributes:
        step: number of steps taken, int32 scalar.
        params: {model: parameters}.
        extra: {model: collections that a forward pass changes and no gradient does, such as batch
            statistics}.
        opt: {objective: state of its optimizer}.
    """

    step: Array
    params: dict[str, Tree]
    extra: dict[str, Tree]
    opt: dict[str, Tree]


def mean(x: Shaped[Array, ...], where: Shaped[Array, ...] | None = None) -> Mean:
    """Computes a weighted mean as numerator and denominator, in float32 at least.

    Args:
        x: values of any shape and dtype.
        where: weights, none below 0; 0 or 1 for a mask. Its shape is the first axes of that of x,
            and it is broadcast over the others, so that the denominator counts each value of x.
            None: all weights are 1. Values with weight 0 may be NaN or infinite: they change
            neither the mean nor its gradient.

    Returns:
        `Mean(sum of x * where, sum of where)`.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if where is None:
        return Mean(x.sum(), jnp.asarray(x.size, x.dtype))
    where = jnp.broadcast_to(
        where.reshape(where.shape + (1,) * (x.ndim - where.ndim)), x.shape
    ).astype(x.dtype)
    # Masked values are replaced before the product: 0 * NaN is NaN, in the gradient too.
    return Mean((jnp.where(where > 0, x, 0) * where).sum(), where.sum())


def value(m: Mean) -> Float[Array, ""]:
    """Returns total / weight, a float scalar; NaN where the weight is 0."""
    return m.total / m.weight


def train_step(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    *,
    seed: int | Integer[Array, ""],
    axis: str | None = None,
    microbatches: int = 1,
) -> tuple[State, dict[str, Mean]]:
    """Updates the parameters of every objective that is due (`Objective.every`), in their order.

    Each objective sees the parameters that those before it have already updated.

    Args:
        objectives: {name: objective}; `name` is also that of the parameters it trains.
        state: the state before the step.
        batch: arrays [rows, ...], or this device's rows where `axis` is given.
        seed: of the run; the key of a loss is folded from it, the step and the objective's index.
        axis: name of the device axis to sum over, under shard_map and pmap; None under jit.
        microbatches: number of microbatches that are computed one after the other.

    Returns:
        The state after the step, and the metrics as {"objective/metric": Mean}, among them "loss"
        and "grad_norm", the global norm of the gradient before the optimizer clips it. An objective
        that is not updated in this step reports means of weight 0.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    metrics: dict[str, Mean] = {}
    for index, (name, objective) in enumerate(objectives.items()):
        update = functools.partial(
            _update, name, objective, batch, jax.random.fold_in(key, index), axis, microbatches
        )
        if objective.every == 1:
            state, logged = update(state)
        else:
            due = (state.step + 1) % objective.every == 0
            state, logged = jax.lax.cond(due, update, functools.partial(_skip, update), state)
        metrics |= logged
    return dataclasses.replace(state, step=state.step + 1), metrics


Update = Callable[[State], tuple[State, dict[str, Mean]]]


def _skip(update: Update, state: State) -> tuple[State, dict[str, Mean]]:
    """The unchanged state, and the means of `update` with weight 0: means over steps stay right."""
    logged = jax.eval_shape(update, state)[1]
    return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), logged)


def _gradients_and_updates(
    name: str,
    objective: Objective,
    batch: Batch,
    key: Array,
    axis: str | None,
    microbatches: int,
    state: State,
) -> tuple[Tree, Tree, optax.OptState, Out]:
    """Gradients, updates, the optimizer's next state and the loss's `Out`; `state` is unchanged."""

    def total(params: Tree, extra: Extra, batch: Batch) -> tuple[Array, Out]:
        out = objective.loss({**state.params, name: params}, extra, batch, key, True)
        return out.loss.total, out

    grads, out = over_microbatches(
        jax.grad(total, has_aux=True), state.params[name], state.extra, batch, microbatches
    )
    if axis is not None:
        grads, out = _sum_over_devices(grads, out, state.extra, axis)
    # where every example is masked, the gradient is 0 / 1 and not 0 / 0
    weight = jnp.where(out.loss.weight > 0, out.loss.weight, 1)
    grads = jax.tree.map(lambda g: g / weight.astype(g.dtype), grads)
    updates, opt = objective.optimizer.update(grads, state.opt[name], state.params[name])
    return grads, updates, opt, out


def _sum_over_devices(grads: Tree, out: Out, before: Extra, axis: str) -> tuple[Tree, Out]:
    """Sums gradients and means over devices, and averages the extra state.

    To each floating-point array of `before`, the extra state before the step, the mean of the
    devices' changes is added, so that an array that no device changed keeps its bits. Other arrays
    stay as each device computed them.
    """
    leaves, structure = jax.tree.flatten(out.extra)
    old = jax.tree.leaves(before)
    floating = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    changes = [jnp.where(leaves[i] == old[i], 0, leaves[i] - old[i]) for i in floating]
    grads, out, changes = device_sum((grads, out._replace(extra={}), changes), axis)
    for i, change in zip(floating, changes, strict=True):
        leaves[i] = old[i] + change / jax.lax.axis_size(axis)
    return grads, out._replace(extra=jax.tree.unflatten(structure, leaves))


def _update(
    name: str,
    objective: Objective,
    batch: Batch,
    key: Array,
    axis: str | None,
    microbatches: int,
    state: State,
) -> tuple[State, dict[str, Mean]]:
    """One update of an objective, and its metrics as {"objective/metric": Mean}."""
    grads, updates, opt, out = _gradients_and_updates(
        name, objective, batch, key, axis, microbatches, state
    )
    updated = dataclasses.replace(
        state,
        params={**state.params, name: optax.apply_updates(state.params[name], updates)},
        extra=dict(out.extra),
        opt={**state.opt, name: opt},
    )
    norm = jnp.sqrt(jnp.asarray(sum(map(square_sum, jax.tree.leaves(grads)))))
    logged = {
        "loss": out.loss,
        "grad_norm": Mean(norm, jnp.ones_like(out.loss.weight)),
        **out.metrics,
    }
    return updated, {f"{name}/{metric}": m for metric, m in logged.items()}


def proposals(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    *,
    seed: int | Integer[Array, ""],
    microbatches: int = 1,
) -> dict[str, tuple[Tree, Tree]]:
    """Computes the gradient and update of every objective from one state, without applying them.

    Objectives that `train_step` would skip, since `every` is above 1, are computed too.

    Args:
        objectives, state, batch, seed, microbatches: as of `train_step`.

    Returns:
        {objective: (gradients, updates)}, each of the structure of its parameters.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    results = {}
    for index, (name, objective) in enumerate(objectives.items()):
        folded = jax.random.fold_in(key, index)
        grads, updates, *_ = _gradients_and_updates(
            name, objective, batch, folded, None, microbatches, state
        )
        results[name] = grads, updates
    return results


def eval_step(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    *,
    seed: int | Integer[Array, ""],
) -> dict[str, Mean]:
    """Computes every loss and metric of one batch, without training.

    Args:
        objectives, state, batch: as of `train_step`.
        seed: the key of a loss is folded from it and the objective's index, the same at each step.

    Returns:
        {"objective/metric": Mean}, the loss under the name "loss".
    """
    key = jax.random.key(seed)
    metrics: dict[str, Mean] = {}
    for index, (name, objective) in enumerate(objectives.items()):
        folded = jax.random.fold_in(key, index)
        out = objective.loss(state.params, state.extra, batch, folded, False)
        logged = {"loss": out.loss, **out.metrics}
        metrics |= {f"{name}/{metric}": m for metric, m in logged.items()}
    return metrics
