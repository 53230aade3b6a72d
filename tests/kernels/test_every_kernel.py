"""No kernel without proof: each public function has a case, and each case is held to float64, in every dtype."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import dlcore.kernels
from tests.kernels.case import Case, floating

MODULES = [module.name for module in pkgutil.iter_modules(dlcore.kernels.__path__)]


def public(module: str) -> set[str]:
    """The public functions that a module of kernels defines."""
    found = importlib.import_module(f"dlcore.kernels.{module}")
    here = [name for name, f in vars(found).items() if callable(f) and getattr(f, "__module__", None) == found.__name__]
    return {name for name in here if not name.startswith("_") and not isinstance(getattr(found, name), type)}


def cases(module: str) -> dict[str, Case]:
    """The table of a module's test file: {function, or function:variant: case}."""
    try:
        return importlib.import_module(f"tests.kernels.test_{module}").CASES
    except (ModuleNotFoundError, AttributeError):
        return {}


def every() -> Iterator[Any]:
    """All cases, as parameters of a test."""
    for module in MODULES:
        for name, case in cases(module).items():
            yield pytest.param(case, id=f"{module}.{name}")


each_case = pytest.mark.parametrize("case", list(every()))


def inputs(case: Case, dtype: Any) -> tuple[Any, ...]:
    """A case's inputs with floating arrays of a dtype, and such that the reference sees the very same numbers."""
    made = case.inputs(np.random.default_rng(0))
    return tuple(np.asarray(jnp.asarray(x, dtype)) if floating(x) else x for x in made)


def wide(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the reference is given: float64 instead of any floating type."""
    return tuple(
        x.astype(np.float64) if isinstance(x, np.ndarray) and jnp.issubdtype(x.dtype, jnp.floating) else x for x in arrays
    )


def error(found: Any, expected: Any) -> float:
    """The largest difference over the largest magnitude, at least 1."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


@pytest.mark.quick
@pytest.mark.parametrize("module", MODULES)
def test_every_public_kernel_has_a_case(module: str) -> None:
    proven = {name.partition(":")[0] for name in cases(module)}
    without, gone = public(module) - proven, proven - public(module)
    assert not without, f"add to CASES in tests/kernels/test_{module}.py: {sorted(without)}"
    assert not gone, f"dlcore/kernels/{module}.py has no public function {sorted(gone)}"


@each_case
def test_float32_equals_the_reference(case: Case) -> None:
    x = inputs(case, np.float32)
    found = jax.jit(case.call)(*x)
    assert found.dtype != jnp.float64
    assert error(found, case.reference(*wide(x))) <= case.f32


@each_case
def test_float64_equals_the_reference(case: Case) -> None:
    with jax.enable_x64(True):
        x = inputs(case, np.float64)
        found = jax.jit(case.call)(*x)
        assert found.dtype == jnp.float64 or not jnp.issubdtype(found.dtype, jnp.floating)
        assert error(found, case.reference(*x)) <= 1e-12


@each_case
def test_bfloat16_keeps_its_dtype(case: Case) -> None:
    x = inputs(case, jnp.bfloat16)
    if not any(x_.dtype == jnp.bfloat16 for x_ in x if isinstance(x_, np.ndarray)):
        return  # nothing floating goes in: there is no dtype to keep
    found = jax.jit(case.call)(*x)
    assert found.dtype == jnp.bfloat16
    assert error(found, case.reference(*wide(x))) <= case.bf16


@each_case
def test_gradients_equal_finite_differences(case: Case) -> None:
    if not case.grads:
        return
    with jax.enable_x64(True):
        x = inputs(case, np.float64)

        def of(*own: Any) -> Any:
            full = list(x)
            for place, value in zip(case.grads, own, strict=True):
                full[place] = value
            return case.call(*full)

        check_grads(jax.jit(of), [jnp.asarray(x[i]) for i in case.grads], order=1, modes=tuple(case.modes), atol=1e-5, rtol=1e-5)


@each_case
def test_a_batch_equals_its_examples_one_by_one(case: Case) -> None:
    if not case.batched:
        return
    x = inputs(case, np.float32)
    together = np.asarray(jax.jit(case.call)(*x))
    single = jax.jit(case.call)
    for i in range(len(together)):
        alone = single(*(a[i : i + 1] if place in case.batched else a for place, a in enumerate(x)))
        np.testing.assert_allclose(np.asarray(alone)[0], together[i], rtol=1e-5, atol=1e-6)


@each_case
def test_edges_equal_the_reference(case: Case) -> None:
    for name, x in case.edges.items():
        x = tuple(a.astype(np.float32) if floating(a) else a for a in x)
        with np.errstate(all="ignore"):
            expected = case.reference(*wide(x))
        found = np.asarray(jax.jit(case.call)(*x))
        np.testing.assert_allclose(found, expected, rtol=case.edge, atol=case.edge, err_msg=name)


@each_case
def test_gradients_are_finite_at_finite_edges(case: Case) -> None:
    for name, x in case.edges.items():
        if not case.grads or not all(np.isfinite(a).all() for a in x if floating(a)):
            continue
        x = tuple(jnp.asarray(a, jnp.float32) if floating(a) else a for a in x)
        grads = jax.jit(jax.grad(lambda *a: case.call(*a).sum(), argnums=tuple(case.grads)))(*x)
        for grad in grads:
            assert np.isfinite(grad).all(), name
