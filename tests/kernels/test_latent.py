"""Densities and bounds against SciPy, integrals and models whose likelihood is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dlcore.kernels.latent import (
    bernoulli_log_density,
    continuous_bernoulli_log_density,
    continuous_bernoulli_mean,
    gaussian_kl,
    gaussian_log_density,
    importance_bound,
    keep_largest,
)
from tests.kernels.case import Case, normals

pytestmark = pytest.mark.slow


def kl(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """By the definition: -entropy - E log N(0, I)."""
    entropy = scipy.stats.norm(scale=np.exp(log_var / 2)).entropy()
    return (0.5 * (np.log(2 * np.pi) + mean**2 + np.exp(log_var)) - entropy).sum(-1)


def gaussian(x: np.ndarray, mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """SciPy's."""
    return scipy.stats.norm(mean, np.exp(log_var / 2)).logpdf(x).sum(-1)


def bernoulli(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """x log p + (1 - x) log (1 - p)."""
    return (x * scipy.special.log_expit(logits) + (1 - x) * scipy.special.log_expit(-logits)).sum(
        -1
    )


def continuous_bernoulli(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Beside it the norm 2 artanh(1 - 2p) / (1 - 2p), as the paper writes it, which is l / tanh(l /
    2).
    """
    half = np.where(np.abs(logits) < 1e-9, 1.0, logits) / 2
    norm = np.where(np.abs(logits) < 1e-9, np.log(2), np.log(2 * half / np.tanh(half)))
    return bernoulli(x, logits) + norm.sum(-1)


def continuous_bernoulli_by_moments(logits: np.ndarray) -> np.ndarray:
    """The mean, from coth: 1/2 + (coth(l/2) - 2/l) / 2, and its series at 0."""
    small = np.abs(logits) < 1e-3
    safe = np.where(small, 1.0, logits)
    return np.where(
        small, 0.5 + logits / 12 - logits**3 / 720, 0.5 + 0.5 / np.tanh(safe / 2) - 1 / safe
    )


def largest(x: np.ndarray) -> np.ndarray:
    """By sorting."""
    return np.where(x >= np.sort(x, -1)[..., -3:-2], x, 0)


def _shares(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    # Logits on both sides of where a series takes over.
    return lambda generator: (
        generator.random(shape),
        generator.standard_normal(shape) * np.geomspace(0.01, 10, shape[-1]),
    )


LOGITS = {
    "one element": (np.array([[1.0]]), np.array([[2.0]])),
    "zero logits": (np.array([[0.0, 1.0, 0.5]]), np.zeros((1, 3))),
    "tiny": (np.array([[0.0, 1.0, 0.3]]), np.array([[1e-30, -1e-7, 1e-3]])),
    "huge": (np.array([[0.0, 1.0, 0.0]]), np.array([[-1e4, 1e4, -80.0]])),
    "sure and wrong": (np.array([[1.0, 0.0]]), np.array([[-200.0, 200.0]])),
    "not a number": (np.array([[0.0, 1.0]]), np.array([[np.nan, 1.0]])),
}

CASES = {
    "gaussian_kl": Case(
        gaussian_kl,
        kl,
        normals((3, 5), (3, 5)),
        grads=(0, 1),
        batched=(0, 1),
        edges={
            "the prior itself": (np.zeros((1, 3)), np.zeros((1, 3))),
            "one element": (np.array([[3.0]]), np.array([[-2.0]])),
            "narrow": (np.array([[1e-10, 0.0]]), np.array([[-80.0, -20.0]])),
            "wide": (np.array([[1e4, 0.0]]), np.array([[50.0, 20.0]])),
            "infinite": (np.array([[np.inf, 0.0]]), np.array([[0.0, 0.0]])),
        },
    ),
    "gaussian_log_density": Case(
        gaussian_log_density,
        gaussian,
        normals((3, 5), (3, 5), (3, 5)),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
        edges={
            "one element": (np.array([[3.0]]), np.array([[3.0]]), np.array([[0.0]])),
            "narrow": (np.array([[1.0]]), np.array([[1.0]]), np.array([[-80.0]])),
            "far": (np.array([[1e10, 0.0]]), np.array([[0.0, 0.0]]), np.array([[0.0, 40.0]])),
            "not a number": (np.array([[np.nan]]), np.array([[0.0]]), np.array([[0.0]])),
        },
    ),
    "bernoulli_log_density": Case(
        bernoulli_log_density,
        bernoulli,
        _shares(3, 6),
        grads=(0, 1),
        batched=(0, 1),
        f32=2e-6,
        edges=LOGITS,
    ),
    "continuous_bernoulli_log_density": Case(
        continuous_bernoulli_log_density,
        continuous_bernoulli,
        _shares(3, 6),
        grads=(0, 1),
        batched=(0, 1),
        f32=2e-6,
        edges=LOGITS,
    ),
    "continuous_bernoulli_mean": Case(
        continuous_bernoulli_mean,
        continuous_bernoulli_by_moments,
        lambda generator: _shares(3, 6)(generator)[1:],
        grads=(0,),
        f32=3e-6,
        edges={name: x[1:] for name, x in LOGITS.items()},
    ),
    "importance_bound": Case(
        importance_bound,
        lambda w: scipy.special.logsumexp(w, -1) - np.log(w.shape[-1]),
        normals((3, 5)),
        grads=(0,),
        edges={
            "one element": (np.array([[-700.0]]),),
            "far from 0": (np.array([[-1e4, -1e4 + 1], [1e4, 2e4]]),),
            "one weight of 0": (np.array([[-np.inf, 1.0]]),),
            "all weights of 0": (np.array([[-np.inf, -np.inf]]),),
        },
    ),
    "keep_largest": Case(
        lambda x: keep_largest(x, 3),
        largest,
        normals((4, 7)),
        grads=(0,),
        f32=0,
        bf16=0,
        edges={
            "all of them": (np.array([[3.0, -1.0, 0.0]]),),
            "equals": (np.array([[1.0, 1.0, 1.0, 1.0, 0.0]]),),
            "huge and tiny": (np.array([[1e30, -1e30, 1e-30, -1e-30, 0.0]]),),
            "infinite": (np.array([[np.inf, -np.inf, 1.0, 2.0]]),),
        },
    ),
}


def test_kl_equals_an_integral() -> None:
    q = scipy.stats.norm(0.7, np.exp(-0.4))
    found, _ = scipy.integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - scipy.stats.norm.logpdf(z)), -10, 10
    )
    assert gaussian_kl(jnp.array([0.7]), jnp.array([-0.8])) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("logit", [-30.0, -0.21, -0.19, 1e-3, 0.0, 3.0])
def test_continuous_bernoulli_is_a_density_with_that_mean(logit: float) -> None:
    def density(x: float) -> float:
        return float(
            np.exp(
                continuous_bernoulli_log_density(
                    np.array([x], np.float64), np.array([logit], np.float64)
                )
            )
        )

    with jax.enable_x64(True):
        assert scipy.integrate.quad(density, 0, 1, epsabs=1e-9)[0] == pytest.approx(1, abs=1e-7)
        want = scipy.integrate.quad(lambda x: x * density(x), 0, 1, epsabs=1e-9)[0]
        assert continuous_bernoulli_mean(jnp.array(logit)) == pytest.approx(want, abs=1e-7)


def _linear_gaussian(samples: int, images: int, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Log weights [images, samples] of x = 2 z + e with a posterior that is exact, or too wide; and
    log p(x) [images].
    """
    random = np.random.default_rng(0)
    x = 2 * random.standard_normal((images, 1)) + random.standard_normal((images, 1))
    mean, log_var = (
        2 * x / 5 + (0 if exact else 0.3),
        np.full_like(x, np.log(1 / 5) + (0 if exact else 0.8)),
    )
    z = mean + np.exp(log_var / 2) * random.standard_normal((images, samples))
    x, z, mean, log_var = (jnp.asarray(a, jnp.float32) for a in (x, z, mean, log_var))
    zero = jnp.zeros((images, 1, 1))
    joint = gaussian_log_density(x[..., None], 2 * z[..., None], zero) + gaussian_log_density(
        z[..., None], zero, zero
    )
    weights = joint - gaussian_log_density(z[..., None], mean[..., None], log_var[..., None])
    return np.asarray(weights), scipy.stats.norm(scale=np.sqrt(5)).logpdf(np.asarray(x)[:, 0])


@pytest.mark.parametrize("logit", [-1e6, 1e6])
def test_gradients_are_finite_far_beyond_the_range_of_the_series(logit: float) -> None:
    """d/dl log C p^x (1 - p)^(1 - x) is x - 1 for large l, and x for large -l."""
    x = jnp.array([0.25])
    slope = jax.grad(lambda z: continuous_bernoulli_log_density(x, z)[()])(jnp.array([logit]))
    np.testing.assert_allclose(slope, x - (logit > 0), atol=1e-5)


def test_bound_of_an_exact_posterior_is_the_likelihood_whatever_the_samples() -> None:
    weights, want = _linear_gaussian(8, 50, exact=True)
    for samples in (1, 3, 8):
        np.testing.assert_allclose(importance_bound(weights[:, :samples]), want, atol=2e-5)


def test_bound_of_one_sample_is_the_elbo_and_it_rises_with_samples_to_the_likelihood() -> None:
    weights, want = _linear_gaussian(512, 1000, exact=False)
    np.testing.assert_array_equal(importance_bound(weights[:, :1]), weights[:, 0])
    gaps = [float(want.mean() - importance_bound(weights[:, :k]).mean()) for k in (1, 4, 32, 512)]
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3] > -0.01
    assert gaps[3] < 0.02
    # E log w under q is the likelihood less KL(q || posterior).
    ratio = np.exp(0.8)
    assert gaps[0] == pytest.approx(0.5 * (ratio - 1 - 0.8 + 5 * 0.3**2), abs=0.05)


@given(st.integers(0, 99), st.floats(-50, 50))
def test_bound_shifts_with_its_weights_and_its_gradient_is_their_share(
    seed: int, shift: float
) -> None:
    w = jnp.asarray(np.random.default_rng(seed).standard_normal((2, 5)), jnp.float32)
    np.testing.assert_allclose(
        importance_bound(w + jnp.float32(shift)),
        importance_bound(w) + jnp.float32(shift),
        atol=1e-4,
    )
    np.testing.assert_allclose(
        jax.grad(lambda w: importance_bound(w).sum())(w), jax.nn.softmax(w, -1), atol=1e-6
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_keep_largest_keeps_as_many_as_top_k_and_passes_gradient_there_alone(dtype: Any) -> None:
    x = jax.random.permutation(
        jax.random.key(0), jnp.arange(-50, 50, dtype=dtype).reshape(2, 50), axis=1, independent=True
    )
    kept = keep_largest(x, 7)
    # all are negative in this row
    np.testing.assert_array_equal(np.sort(kept, -1)[0, :7], np.sort(x, -1)[0, -7:])
    grad = jax.grad(lambda x: keep_largest(x, 7).astype(jnp.float32).sum())(x)
    np.testing.assert_array_equal(grad.sum(-1), [7, 7])
    np.testing.assert_array_equal(grad[0] == 1, kept[0] != 0)


@pytest.mark.parametrize("k", [0, 6, -1])
def test_keep_largest_refuses_what_is_not_there(k: int) -> None:
    with pytest.raises(ValueError, match="cannot keep"):
        keep_largest(jnp.ones((2, 5)), k)
