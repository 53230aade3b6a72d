"""Flow matching: straight paths from noise to data, and the integrator that draws samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

Method = Literal["euler", "heun"]


def straight_path(
    noise: Float[Array, " batch *example"],
    data: Float[Array, " batch *example"],
    time: Float[Array, " batch"],
) -> tuple[Float[Array, " batch *example"], Float[Array, " batch *example"]]:
    """Computes a point on the straight path from noise to data, and the path's velocity.

    x_t = (1 - t) noise + t data, with velocity data - noise. A network trained by squared error to
    predict the velocity from (x_t, t) learns the mean velocity at x_t, which transports the noise's
    distribution to the data's.

    Args:
        noise: start of each path [batch, ...], floating.
        data: end of each path, shape and dtype of `noise`.
        time: t in [0, 1] for each example [batch].

    Returns:
        x_t and the velocity, both of the shape and dtype of `data`.

    Source: Lipman et al. 2023, eqs. 20 and 23 with sigma 0.
    """
    t = jnp.broadcast_to(
        time.reshape(time.shape + (1,) * (data.ndim - time.ndim)), data.shape
    ).astype(data.dtype)
    return (1 - t) * noise + t * data, data - noise


def integrate(
    velocity: Callable[[Array, Array], Array],
    x: Float[Array, "*shape"],
    steps: int,
    method: Method = "heun",
) -> Float[Array, "*shape"]:
    """Integrates dx/dt = velocity(x, t) from t = 0 to t = 1 in equal steps of one compiled loop.

    Args:
        velocity: maps x and a scalar t in [0, 1] to dx/dt, shape and dtype of x.
        x: x(0), floating, any shape; x(1) is differentiable with respect to it.
        steps: number of steps, at least 1.
        method: "euler": x + h v(x, t), of order 1; "heun": the mean of the velocities at both ends
            of the step, of order 2, with two evaluations per step (Karras et al. 2022, alg. 1).

    Returns:
        x(1), shape and dtype of `x`.

    Raises:
        ValueError: steps is below 1, or an unknown method.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps: integration needs at least one")
    if method not in ("euler", "heun"):
        raise ValueError(f"there is no method {method!r}: choose euler or heun")
    time_type = jnp.promote_types(x.dtype, jnp.float32)
    h = jnp.asarray(1 / steps, x.dtype)

    def step(i: Array, x: Array) -> Array:
        t = jnp.asarray(i, time_type)
        slope = velocity(x, t / steps)
        if method == "heun":
            slope = (slope + velocity(x + h * slope, (t + 1) / steps)) / 2
        return x + h * slope

    return jax.lax.fori_loop(0, steps, step, x)
