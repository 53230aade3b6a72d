"""The games' losses by hand, and the penalty of critics whose slope is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.adversarial import critic_loss, generator_loss, gradient_penalty
from tests.kernels.case import Case, normals


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


FAR = {
    "far from zero": (np.array([1e4, -1e4, 50.0]), np.array([1e4, -1e4, -50.0])),
    "nothing known": (np.zeros(2), np.zeros(2)),
    "infinite": (np.array([np.inf]), np.array([-np.inf])),
    "not a number": (np.array([np.nan, 1.0]), np.array([0.0, 1.0])),
}
PAIRS = normals((6,), (6,))


def slopes_of(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The score is sum_i w_i x_i^2 / 2: its gradient is w x."""
    return (np.sqrt(((weight * x) ** 2).sum(-1)) - 1) ** 2


CASES = {
    "critic_loss:nonsaturating": Case(
        lambda t, f: critic_loss(t, f, "nonsaturating"),
        lambda t, f: softplus(-t) + softplus(f),
        PAIRS,
        grads=(0, 1),
        batched=(0, 1),
        edges=FAR,
    ),
    "critic_loss:hinge": Case(
        lambda t, f: critic_loss(t, f, "hinge"),
        lambda t, f: np.maximum(0, 1 - t) + np.maximum(0, 1 + f),
        PAIRS,
        grads=(0, 1),
        batched=(0, 1),
        edges=FAR,
    ),
    "critic_loss:wasserstein": Case(
        lambda t, f: critic_loss(t, f, "wasserstein"),
        lambda t, f: f - t,
        PAIRS,
        grads=(0, 1),
        batched=(0, 1),
        edges=FAR,
    ),
    "critic_loss:least_squares": Case(
        lambda t, f: critic_loss(t, f, "least_squares"),
        lambda t, f: ((t - 1) ** 2 + f**2) / 2,
        normals((6, 2), (6, 2)),
        grads=(0, 1),
        batched=(0, 1),
        edges=FAR,
    ),
    "generator_loss:least_squares": Case(
        lambda f: generator_loss(f, "least_squares"),
        lambda f: (f - 1) ** 2,
        normals((6, 2)),
        grads=(0,),
        edges={name: scores[1:] for name, scores in FAR.items()},
    ),
    "generator_loss:nonsaturating": Case(
        lambda f: generator_loss(f, "nonsaturating"),
        lambda f: softplus(-f),
        normals((6,)),
        grads=(0,),
        edges={name: scores[1:] for name, scores in FAR.items()},
    ),
    "generator_loss:hinge": Case(
        lambda f: generator_loss(f, "hinge"), lambda f: -f, normals((6,)), grads=(0,)
    ),
    "generator_loss:wasserstein": Case(
        lambda f: generator_loss(f, "wasserstein"), lambda f: -f, normals((6,)), grads=(0,)
    ),
    "gradient_penalty": Case(
        lambda w, x: gradient_penalty(
            lambda x: (jnp.broadcast_to(w, x.shape) * x * x).sum(-1) / 2, x
        ),
        slopes_of,
        normals((5,), (4, 5)),
        grads=(0, 1),
        batched=(1,),
        f32=2e-6,
        bf16=5e-2,
        edges={
            "flat": (np.zeros(2), np.array([[1.0, 2.0]])),
            "steep": (np.ones(2), np.array([[3e8, 4e8]])),
            "one": (np.ones(2), np.array([[0.6, 0.8]])),
            "not a number": (np.ones(2), np.array([[np.nan, 1.0], [3.0, 4.0]])),
        },
    ),
}


@pytest.mark.slow
def test_values_by_hand() -> None:
    true, false = jnp.array([0.0, 2.0]), jnp.array([0.0, -0.5])
    np.testing.assert_allclose(
        critic_loss(true, false, "nonsaturating"), [2 * np.log(2), 0.126928 + 0.474077], rtol=1e-5
    )
    np.testing.assert_allclose(critic_loss(true, false, "hinge"), [2.0, 0.5])
    np.testing.assert_allclose(critic_loss(true, false, "wasserstein"), [0.0, -2.5])
    np.testing.assert_allclose(
        generator_loss(false, "nonsaturating"), [np.log(2), 0.974077], rtol=1e-5
    )


@pytest.mark.slow
def test_a_right_hinge_critic_learns_nothing_more_and_a_lost_generator_still_does() -> None:
    sure = jax.grad(lambda s: critic_loss(s, -s, "hinge").sum())(jnp.array([3.0]))
    lost = jax.grad(lambda s: generator_loss(s, "nonsaturating").sum())(jnp.array([-30.0]))
    assert (float(sure[0]), float(lost[0])) == (0.0, -1.0)


@pytest.mark.slow
def test_penalty_of_a_linear_critic_is_the_same_everywhere() -> None:
    """(|w| - 1)^2, and its gradient by w, 2 (|w| - 1) w / |w|: the second derivative through the
    critic.
    """
    w = jnp.array([[3.0], [4.0]])
    x = jax.random.normal(jax.random.key(0), (6, 2))
    penalty = lambda w: gradient_penalty(lambda x: (x @ w)[:, 0], x)  # noqa: E731
    np.testing.assert_allclose(penalty(w), 16.0, rtol=1e-6)
    slope = jax.jit(jax.grad(lambda w: penalty(w).mean()))
    np.testing.assert_allclose(slope(w), 8 * w / 5, rtol=1e-6)
    np.testing.assert_array_equal(slope(jnp.zeros_like(w)), 0)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown adversarial loss"):
        critic_loss(jnp.zeros(1), jnp.zeros(1), "chess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown adversarial loss"):
        generator_loss(jnp.zeros(1), "chess")  # type: ignore[arg-type]
