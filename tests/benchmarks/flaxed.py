"""Helpers of the contenders in stock Flax and Optax, as their documentation writes a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax


def training(
    loss: Callable[..., Any],
    params: Any,
    optimizer: optax.GradientTransformation,
    *data: Any,
    changing: Any = None,
) -> Callable[[], Any]:
    """Returns a jitted training step, which donates its state and returns the loss.

    Args:
        loss: (params, *data) -> loss, or (params, changing, *data) -> (loss, changing).
        params: initial parameters.
        optimizer: of Optax.
        data: arrays of the batch.
        changing: state that the loss updates, such as batch statistics; None: none.
    """
    params = jax.tree.map(jnp.asarray, params)
    data = tuple(jnp.asarray(x) for x in data)

    @jax.jit
    def first(params: Any) -> Any:
        return optimizer.init(params)

    def one(params: Any, opt: Any, changing: Any, *data: Any) -> Any:
        if changing is None:
            value, slopes = jax.value_and_grad(loss)(params, *data)
        else:
            (value, changing), slopes = jax.value_and_grad(loss, has_aux=True)(
                params, changing, *data
            )
        updates, opt = optimizer.update(slopes, opt, params)
        return optax.apply_updates(params, updates), opt, changing, value

    compiled = jax.jit(one, donate_argnums=(0, 1, 2))
    held = [params, first(params), jax.tree.map(jnp.asarray, changing)]

    def step() -> Any:
        *held[:], value = compiled(*held, *data)
        return value

    return step


def slope(loss: Callable[..., Any], *data: Any, shared: Any = None) -> Callable[[], Any]:
    """Returns a step that computes a loss and its gradients by `data[0]` and `shared`.

    Args:
        loss: of `data`, and `shared` where it is not None.
        data: arrays.
        shared: a further argument.
    """
    by = (0,) if shared is None else (0, len(data))
    return first(jax.value_and_grad(loss, argnums=by), *data, shared=shared)


def first(function: Callable[..., Any], *data: Any, shared: Any = None) -> Callable[[], Any]:
    """Returns a step that computes a function and returns the first of its results.

    Args:
        function: of `data`, and `shared` where it is not None.
        data, shared: as of `slope`.
    """
    given = tuple(jnp.asarray(x) for x in (data if shared is None else (*data, shared)))
    run = jax.jit(function)
    return lambda: run(*given)[0]


def halved(x: Any) -> Any:
    """Moves blocks of 2 x 2 pixels into channels: [b, h, w, c] to [b, h / 2, w / 2, 4 c]."""
    b, h, w, c = x.shape
    return (
        x.reshape(b, h // 2, 2, w // 2, 2, c)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, h // 2, w // 2, 4 * c)
    )


def doubled(x: Any) -> Any:
    """Inverts `halved`: [b, h, w, c] to [b, 2 h, 2 w, c / 4]."""
    b, h, w, c = x.shape
    return (
        x.reshape(b, h, w, 2, 2, c // 4)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, 2 * h, 2 * w, c // 4)
    )
