"""Flow matching: straight paths from noise to data, and the ordinary differential equation that
draws from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

Method = Literal["euler", "heun"]


def straight_path(noise: Array, data: Array, time: Array) -> tuple[Array, Array]:
    """x_t = (1 - t) noise + t data, and the velocity data - noise on the way (Lipman et al. 2023,
    eq. 20 and 23, sigma 0).

    noise, data [batch, ...], time [batch] in [0, 1]; both results like data. The mean velocity at a
    point x_t, which a network that is fitted to it by squares learns, carries the noise's density
    to the data's.
    """
    t = jnp.broadcast_to(
        time.reshape(time.shape + (1,) * (data.ndim - time.ndim)), data.shape
    ).astype(data.dtype)
    return (1 - t) * noise + t * data, data - noise


def integrate(
    velocity: Callable[[Array, Array], Array], x: Array, steps: int, method: Method = "heun"
) -> Array:
    """x(1) of dx/dt = velocity(x, t) from x(0) = x, in `steps` equal steps of one compiled loop;
    output like x.

    euler: x + h v(x, t), of order 1; heun: the mean of the slopes at both ends, of order 2 and two
    velocities a step (Karras et al. 2022, alg. 1). `velocity` is given a scalar t and may have a
    gradient. Raises ValueError for no steps or another method.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps lead nowhere")
    if method not in ("euler", "heun"):
        raise ValueError(f"there is no method {method!r}")
    time_type = jnp.promote_types(x.dtype, jnp.float32)
    h = jnp.asarray(1 / steps, x.dtype)

    def step(i: Array, x: Array) -> Array:
        t = jnp.asarray(i, time_type)
        slope = velocity(x, t / steps)
        if method == "heun":
            slope = (slope + velocity(x + h * slope, (t + 1) / steps)) / 2
        return x + h * slope

    return jax.lax.fori_loop(0, steps, step, x)
