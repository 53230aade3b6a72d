"""Scaled rotary positions: frequencies by hand, and what each kind of scaling leaves unchanged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.attention import rotary
from dlcore.kernels.rotary_scaling import Rope, scaled_rotary
from tests.kernels.case import Case
from tests.kernels.test_attention import draw

YARN = Rope(base=100.0, scaling="yarn", factor=4.0, context=24, fast=2.0)


def rotated(x: np.ndarray, position: np.ndarray, rope: Rope) -> np.ndarray:
    """Pairs as complex numbers, multiplied by magnitude e^(i angle)."""
    n = int(x.shape[-1] * rope.fraction)
    angle = position[:, None] * rope.frequencies(x.shape[-1])
    z = (x[..., : n // 2] + 1j * x[..., n // 2 : n]) * np.exp(1j * angle) * rope.magnitude
    return np.concatenate([z.real, z.imag, x[..., n:]], -1)


def _case(rope: Rope) -> Case:
    return Case(
        lambda x, position: scaled_rotary(x, position, rope),
        lambda x, position: rotated(x, position, rope),
        lambda generator: (generator.standard_normal((2, 3, 5, 8)), np.arange(5)),
        grads=(0,),
    )


CASES = {
    "scaled_rotary": _case(Rope()),
    "scaled_rotary:partial": _case(Rope(base=500.0, fraction=0.5)),
    "scaled_rotary:linear": _case(Rope(scaling="linear", factor=4.0)),
    "scaled_rotary:ntk": _case(Rope(scaling="ntk", factor=4.0)),
    "scaled_rotary:yarn": _case(YARN),
}


@pytest.mark.slow
def test_without_options_it_is_rotary() -> None:
    x = draw(0, 2, 5, 8)
    expected = rotary(x, jnp.arange(5))
    np.testing.assert_allclose(scaled_rotary(x, jnp.arange(5), Rope()), expected, atol=1e-6)


@pytest.mark.quick
def test_frequencies_by_hand() -> None:
    np.testing.assert_allclose(Rope(base=16.0).frequencies(4), [1, 1 / 4])
    np.testing.assert_allclose(Rope(base=16.0, fraction=0.5).frequencies(8), [1, 1 / 4])
    linear = Rope(base=16.0, scaling="linear", factor=2.0)
    np.testing.assert_allclose(linear.frequencies(4), [1 / 2, 1 / 8])
    # 16 * 2^(4/2) = 64: the lowest frequency is half of what it was
    ntk = Rope(base=16.0, scaling="ntk", factor=2.0)
    np.testing.assert_allclose(ntk.frequencies(4), [1, 1 / 8])
    np.testing.assert_allclose(Rope(scaling="ntk", factor=2.0).frequencies(2), [1])


@pytest.mark.quick
def test_yarn_changes_slow_frequencies_only_and_scales_by_the_logarithm() -> None:
    # periods in a context of 24: 24/2pi = 3.8 of frequency 1, 1.2 of 100^(-1/4), 0.38, 0.12.
    # Two periods lie at index 8 log(24/4pi)/(2 log 100) = 0.56, one at 1.16: a ramp from 0 to 2.
    plain = 100.0 ** -np.array([0, 0.25, 0.5, 0.75])
    expected = plain * [1, 0.5 + 0.5 / 4, 1 / 4, 1 / 4]
    np.testing.assert_allclose(YARN.frequencies(8), expected)
    assert YARN.magnitude == pytest.approx(1 + 0.1 * np.log(4))
    assert Rope(scaling="linear", factor=4.0).magnitude == 1


@pytest.mark.quick
def test_numbers_outside_their_range_are_refused() -> None:
    for wrong in ({"base": 0.0}, {"fraction": 0.0}, {"fraction": 1.1}, {"factor": 0.5}):
        with pytest.raises(ValueError, match="rotary positions need a base above 0"):
            Rope(**wrong)
    unknown: Any = SimpleNamespace(base=1e4, fraction=1.0, factor=1.0, scaling="longrope")
    with pytest.raises(ValueError, match="'longrope' is none of none, linear, ntk, yarn"):
        Rope.__post_init__(unknown)  # the tests check the types of Rope(...) before
    with pytest.raises(ValueError, match="yarn needs `context`"):
        Rope(scaling="yarn")
    with pytest.raises(ValueError, match="yarn needs a base above 1"):
        Rope(base=1.0, scaling="yarn", context=8)
    with pytest.raises(ValueError, match=r"yarn needs slow below fast, not 4\.0 and 4\.0"):
        Rope(scaling="yarn", context=8, fast=4.0, slow=4.0)
    assert Rope(fraction=0.29).rotated(200) == 58
    for fraction in (0.4, 0.1):
        with pytest.raises(ValueError, match="features are none"):
            Rope(fraction=fraction).rotated(8)
