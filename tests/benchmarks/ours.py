"""Helpers of dlcore's contenders: the training step, sharded and compiled as by `dlcore train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import sharding
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import pack
from dlcore.train.step import Objective, State, train_step

Step = Callable[[], Any]


def with_rows(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a batch with the fields that a stream adds: `row`, and a `mask` of 1."""
    size = len(next(iter(batch.values())))
    return {"row": np.arange(size, dtype=np.int32), "mask": np.ones(size, np.float32)} | dict(batch)


def training(
    objectives: Mapping[str, Objective],
    params: Mapping[str, Any],
    batch: Mapping[str, np.ndarray],
    extra: Mapping[str, Any] | None = None,
) -> Step:
    """Returns a training step on a fixed batch, which returns the first objective's loss.

    Args:
        objectives: by name.
        params: initial parameters, by model.
        batch: arrays [rows, ...].
        extra: further collections, such as batch statistics.
    """
    layout, first = sharding.layout("auto", ""), next(iter(objectives))
    example = layout.put(with_rows(batch), len(next(iter(batch.values()))))

    def make() -> State:
        trees = jax.tree.map(jnp.asarray, dict(params))
        opt = {
            name: objective.optimizer.init(trees[name]) for name, objective in objectives.items()
        }
        return State(
            step=jnp.zeros((), jnp.int32),
            params=trees,
            extra=jax.tree.map(jnp.asarray, dict(extra or {})),
            opt=opt,
        )

    shape = jax.eval_shape(make)
    shardings = sharding.sharding(layout, shape)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shape, shardings
    )

    def one(state: State, batch: Any, axis: str | None) -> Any:
        state, report = train_step(
            dict(objectives), state, batch, seed=0, axis=axis, microbatches=1
        )
        total, weight = report[f"{first}/loss"]
        # all that the loop logs: what is not returned is not computed
        return state, (total / weight, pack(report))

    compiled = compile_step(one, layout, abstract, shardings, example)
    held = [jax.jit(make, out_shardings=shardings)()]

    def step() -> Any:
        held[0], (loss, _) = compiled(held[0], example)
        # as the loop does, and why: runs/trainer.py
        return jax.block_until_ready(loss) if layout.mesh.size > 1 else loss

    return step


def slope(loss: Callable[..., Any], *batch: np.ndarray, shared: np.ndarray | None = None) -> Step:
    """Returns a step that computes a loss and its gradients by `batch[0]` and `shared`.

    Args:
        loss: of the arrays of `batch`, and `shared` where it is not None.
        batch: arrays [rows, ...], which are sharded.
        shared: is replicated.
    """
    by = (0,) if shared is None else (0, len(batch))
    return first(jax.value_and_grad(loss, argnums=by), *batch, shared=shared)


def first(
    function: Callable[..., Any], *batch: np.ndarray, shared: np.ndarray | None = None
) -> Step:
    """Returns a step that computes a function and returns the first of its results, a number.

    Args:
        function: of the arrays of `batch`, and `shared` where it is not None.
        batch, shared: as of `slope`.
    """
    layout, own = sharding.layout("jit", ""), () if shared is None else (shared,)
    given = tuple(layout.put({"x": x}, len(x))["x"] for x in batch) + jax.device_put(
        own, layout.everywhere
    )
    run = jax.jit(function).lower(*given).compile()

    def step() -> Any:
        value = run(*given)[0]
        return jax.block_until_ready(value) if layout.mesh.size > 1 else value

    return step
