"""The one abstraction: objectives that take turns on one state. The only place with `jax.grad` and
`optax.apply_updates`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from dlcore.kernels.rows import device_sum, square_sum
from dlcore.train.accumulate import over_microbatches

Tree = Any
Params = Mapping[str, Tree]
Extra = Mapping[str, Tree]
Batch = Mapping[str, Array]


class Mean(NamedTuple):
    """A numerator and a denominator. Means add exactly over examples, microbatches, devices and
    batches.
    """

    total: Array
    weight: Array


class Out(NamedTuple):
    """What a loss returns: the mean to descend on, means to report, and the extra state after this
    forward pass.
    """

    loss: Mean
    metrics: Mapping[str, Mean]
    extra: Extra


# (params, extra, batch, key, train) -> Out. Pure; sees all parameters, is differentiated by its own
# subtree alone.
# `key` belongs to (seed, step, objective): fold `batch["row"]` in for whatever differs between
# examples (kernels/random.py).
Loss = Callable[[Params, Extra, Batch, Array, bool], Out]


class Objective(NamedTuple):
    """`loss` trains the subtree of the same name with `optimizer`, in every `every`-th step."""

    loss: Loss
    optimizer: optax.GradientTransformation
    every: int = 1


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["step", "params", "extra", "opt"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class State:
    """Everything that a run must save. `extra`: batch statistics, carries, frozen parts: changed,
    never differentiated.
    """

    step: Array
    params: dict[str, Tree]
    extra: dict[str, Tree]
    opt: dict[str, Tree]


def mean(x: Array, where: Array | None = None) -> Mean:
    """The mean of x where `where` (0/1 or weights, broadcast from the left) holds; summed in
    float32 at least.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if where is None:
        return Mean(x.sum(), jnp.asarray(x.size, x.dtype))
    where = jnp.broadcast_to(
        where.reshape(where.shape + (1,) * (x.ndim - where.ndim)), x.shape
    ).astype(x.dtype)
    # A masked value may be anything, NaN too: it is replaced before the product, so that neither
    # sum nor gradient sees it.
    return Mean((jnp.where(where > 0, x, 0) * where).sum(), where.sum())


def value(m: Mean) -> Array:
    """total / weight; NaN where nothing was weighed."""
    return m.total / m.weight


def train_step(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    *,
    seed: int | Array,
    axis: str | None = None,
    microbatches: int = 1,
) -> tuple[State, dict[str, Mean]]:
    """Each objective in turn takes one step. `axis` names the device axis when run per device
    (shard_map, pmap).
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    report: dict[str, Mean] = {}
    for turn, (name, objective) in enumerate(objectives.items()):
        play = functools.partial(
            _turn, name, objective, batch, jax.random.fold_in(key, turn), axis, microbatches
        )
        if objective.every == 1:
            state, logged = play(state)
        else:  # a turn that is skipped reports weight 0, so that means over steps stay right

            def rest(
                state: State, play: Callable[[State], Any] = play
            ) -> tuple[State, dict[str, Mean]]:
                return state, jax.tree.map(
                    lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(play, state)[1]
                )

            state, logged = jax.lax.cond((state.step + 1) % objective.every == 0, play, rest, state)
        report |= logged
    return dataclasses.replace(state, step=state.step + 1), report


def _proposed(
    name: str,
    objective: Objective,
    batch: Batch,
    key: Array,
    axis: str | None,
    microbatches: int,
    state: State,
) -> tuple[Tree, Tree, Tree, Out]:
    """An objective's gradient, its optimizer's update and state after it, and what the loss
    returned. Nothing is changed.
    """

    def total(own: Tree, extra: Extra, batch: Batch) -> tuple[Array, Out]:
        out = objective.loss({**state.params, name: own}, extra, batch, key, True)
        return out.loss.total, out

    grads, out = over_microbatches(
        jax.grad(total, has_aux=True), state.params[name], state.extra, batch, microbatches
    )
    if axis is not None:
        grads, out = _over_devices(grads, out, state.extra, axis)
    # nothing weighed, nothing learnt: 0 / 1, not 0 / 0
    weight = jnp.where(out.loss.weight > 0, out.loss.weight, 1)
    grads = jax.tree.map(lambda g: g / weight.astype(g.dtype), grads)
    updates, opt = objective.optimizer.update(grads, state.opt[name], state.params[name])
    return grads, updates, opt, out


def _over_devices(grads: Tree, out: Out, before: Extra, axis: str) -> tuple[Tree, Out]:
    """Sums of gradients and means. The extra state moves by the mean of the devices' moves, so that
    what is frozen keeps its bits; what is no floating-point number stays each device's own.
    """
    leaves, structure = jax.tree.flatten(out.extra)
    given = jax.tree.leaves(before)
    floating = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    moves = [jnp.where(leaves[i] == given[i], 0, leaves[i] - given[i]) for i in floating]
    grads, out, moves = device_sum((grads, out._replace(extra={}), moves), axis)
    for i, move in zip(floating, moves, strict=True):
        leaves[i] = given[i] + move / jax.lax.axis_size(axis)
    return grads, out._replace(extra=jax.tree.unflatten(structure, leaves))


def _turn(
    name: str,
    objective: Objective,
    batch: Batch,
    key: Array,
    axis: str | None,
    microbatches: int,
    state: State,
) -> tuple[State, dict[str, Mean]]:
    grads, updates, opt, out = _proposed(name, objective, batch, key, axis, microbatches, state)
    after = dataclasses.replace(
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
    return after, {f"{name}/{metric}": m for metric, m in logged.items()}


def proposals(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    *,
    seed: int | Array,
    microbatches: int = 1,
) -> dict[str, tuple[Tree, Tree]]:
    """The gradient and the update that each objective would make of this batch from this very
    state; nothing is changed.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    made = {
        name: _proposed(
            name, objective, batch, jax.random.fold_in(key, turn), None, microbatches, state
        )
        for turn, (name, objective) in enumerate(objectives.items())
    }
    return {name: (grads, updates) for name, (grads, updates, *_) in made.items()}


def eval_step(
    objectives: Mapping[str, Objective], state: State, batch: Batch, *, seed: int | Array
) -> dict[str, Mean]:
    """Every loss and metric of one batch, nothing trained, nothing changed."""
    key = jax.random.key(seed)
    report: dict[str, Mean] = {}
    for turn, (name, objective) in enumerate(objectives.items()):
        out = objective.loss(state.params, state.extra, batch, jax.random.fold_in(key, turn), False)
        report |= {f"{name}/{metric}": m for metric, m in {"loss": out.loss, **out.metrics}.items()}
    return report
