"""Straight paths, and their equation solved where the solution is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dlcore.kernels.flow import Method, integrate, straight_path
from tests.kernels.case import Case, normals


def stepped(x: np.ndarray, steps: int, heun: bool) -> np.ndarray:
    """dx/dt = -x (1 + t) by hand."""
    h = 1 / steps
    for i in range(steps):
        slope = -x * (1 + i * h)
        x = x + h * ((slope - (x + h * slope) * (1 + (i + 1) * h)) / 2 if heun else slope)
    return x


CASES = {
    "straight_path": Case(
        lambda noise, data, time: jnp.concatenate(straight_path(noise, data, time), 1),
        lambda noise, data, time: np.concatenate(
            [noise + time[:, None] * (data - noise), data - noise], 1
        ),
        lambda generator: (*generator.standard_normal((2, 4, 3)), generator.random(4)),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
        edges={
            "both ends": (np.array([[1.0], [1.0]]), np.array([[5.0], [5.0]]), np.array([0.0, 1.0])),
            "huge": (np.array([[1e30]]), np.array([[-1e30]]), np.array([0.5])),
        },
    ),
    "integrate:euler": Case(
        lambda x: integrate(lambda x, t: -x * (1 + t).astype(x.dtype), x, 6, "euler"),
        lambda x: stepped(x, 6, False),
        normals((3, 4)),
        grads=(0,),
    ),
    "integrate:heun": Case(
        lambda x: integrate(lambda x, t: -x * (1 + t).astype(x.dtype), x, 6, "heun"),
        lambda x: stepped(x, 6, True),
        normals((3, 4)),
        grads=(0,),
    ),
}


def best(mean: float, std: float, x: jax.Array, t: jax.Array | float) -> jax.Array:
    """E[data - noise | x_t = x] for data of N(mean, std^2): both are Gaussian with x_t, so that it
    is linear in x.
    """
    slope = (t * std**2 - (1 - t)) / ((1 - t) ** 2 + (t * std) ** 2)
    return mean + slope * (x - t * mean)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_error_falls_with_the_order_of_the_method(method: Method, order: int) -> None:
    """dx/dt = A x, a turn with decay: twice the steps, half or a quarter of the distance from
    exp(A) x.
    """
    a = np.array([[-0.3, 2.0], [-2.0, -0.3]])
    with jax.enable_x64(True):
        x = jnp.array([[1.0, 0.0], [0.5, -2.0]])
        found = [
            integrate(lambda x, t: x @ jnp.asarray(a).T, x, steps, method) for steps in (64, 128)
        ]
        error = [float(np.abs(y - np.asarray(x) @ scipy.linalg.expm(a).T).max()) for y in found]
    assert np.log2(error[0] / error[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.slow
def test_what_squares_learn_of_straight_paths_to_a_gaussian() -> None:
    """A line fitted to the velocities at one time is the velocity known in closed form."""
    random, mean, std = np.random.default_rng(0), 2.0, 0.5
    noise, data = random.standard_normal((2, 200_000, 1)) * [[[1.0]], [[std]]] + [[[0.0]], [[mean]]]
    for time in (0.0, 0.3, 0.8):
        at, velocity = straight_path(
            jnp.asarray(noise), jnp.asarray(data), jnp.full(len(data), time)
        )
        slope, height = np.polyfit(np.asarray(at)[:, 0], np.asarray(velocity)[:, 0], 1)
        for x in (-1.0, 1.0):
            assert slope * x + height == pytest.approx(
                float(best(mean, std, jnp.asarray(x), time)), abs=0.02
            )


@pytest.mark.slow
def test_its_flow_carries_the_noise_to_the_gaussian() -> None:
    x = jnp.linspace(-3, 3, 7)
    found = integrate(lambda x, t: best(2.0, 0.5, x, t), x, 100)
    np.testing.assert_allclose(found, 2 + 0.5 * x, atol=2e-3)


@pytest.mark.usefixtures("unchecked")
def test_no_steps_and_no_method_are_refused() -> None:
    with pytest.raises(ValueError, match="0 steps"):
        integrate(lambda x, t: x, jnp.zeros(1), 0)
    with pytest.raises(ValueError, match="no method"):
        integrate(lambda x, t: x, jnp.zeros(1), 1, "leapfrog")  # type: ignore[arg-type]
