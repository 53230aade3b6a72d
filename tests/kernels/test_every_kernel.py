"""No kernel without proof: each public function has a case, and each case is held to float64, in
every dtype.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore.kernels
from dlcore.kernels.derivatives import plain_derivatives
from tests.kernels.case import Case, floating

MODULES = [module.name for module in pkgutil.iter_modules(dlcore.kernels.__path__)]
# the modules that compute something else on CPU than elsewhere
BRANCHED = ("conv", "recurrence", "rows")


def public(module: str) -> set[str]:
    """The public functions that a module of kernels defines."""
    found = importlib.import_module(f"dlcore.kernels.{module}")
    here = [
        name
        for name, f in vars(found).items()
        if callable(f) and getattr(f, "__module__", None) == found.__name__
    ]
    return {
        name
        for name in here
        if not name.startswith("_") and not isinstance(getattr(found, name), type)
    }


def cases(module: str) -> dict[str, Case]:
    """The table of a module's test file: {function, or function:variant: case}."""
    try:
        return importlib.import_module(f"tests.kernels.test_{module}").CASES
    except (ModuleNotFoundError, AttributeError):
        return {}


def each(
    has: Callable[[Case], Any] = lambda case: True,
    modules: Any = MODULES,
    every_run: Any = MODULES,
) -> pytest.MarkDecorator:
    """A test for each of the cases that have what it is about; the others are not collected.

    One worker has a module's cases. Those of the modules outside `every_run` are nightly.
    """
    found = [
        pytest.param(
            case,
            id=f"{module}.{name}",
            marks=[
                pytest.mark.xdist_group(f"kernels-{module}"),
                *([] if module in every_run else [pytest.mark.nightly]),
            ],
        )
        for module in modules
        for name, case in cases(module).items()
        if has(case)
    ]
    return pytest.mark.parametrize("case", found)


def inputs(case: Case, dtype: Any) -> tuple[Any, ...]:
    """A case's inputs with floating arrays of a dtype, and such that the reference sees the very
    same numbers.
    """
    made = case.inputs(np.random.default_rng(0))
    return tuple(np.asarray(jnp.asarray(x, dtype)) if floating(x) else x for x in made)


def in_float64(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the reference is given: float64 instead of any floating type."""
    return tuple(
        (
            x.astype(np.float64)
            if isinstance(x, np.ndarray) and jnp.issubdtype(x.dtype, jnp.floating)
            else x
        )
        for x in arrays
    )


def error(found: Any, expected: Any) -> float:
    """The largest difference over the largest magnitude, at least 1."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


@functools.lru_cache(maxsize=1)
def compiled(case: Case) -> Callable[..., Any]:
    """One compiled function for all tests of a case; a new one, so that its programs go with it
    (conftest.py).
    """
    return jax.jit(lambda *x: case.call(*x))


def of_grads(case: Case, x: tuple[Any, ...]) -> Callable[..., Any]:
    """The case as a function of the arguments that it is differentiated by, the others as in x."""

    def of(*own: Any) -> Any:
        full = list(x)
        for place, value in zip(case.grads, own, strict=True):
            full[place] = value
        return case.call(*full)

    return of


def directions(case: Case, x: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments that a case is differentiated by, and a direction of each."""
    own = tuple(x[i] for i in case.grads)
    return own, tuple(np.random.default_rng(1).standard_normal(np.shape(a)) for a in own)


@pytest.mark.quick
@pytest.mark.parametrize("module", MODULES)
def test_every_public_kernel_has_a_case(module: str) -> None:
    proven = {name.partition(":")[0] for name in cases(module)}
    without, gone = public(module) - proven, proven - public(module)
    assert not without, f"add to CASES in tests/kernels/test_{module}.py: {sorted(without)}"
    assert not gone, f"dlcore/kernels/{module}.py has no public function {sorted(gone)}"


@each()
def test_float32_equals_the_reference(case: Case) -> None:
    x = inputs(case, np.float32)
    found = compiled(case)(*x)
    assert found.dtype != jnp.float64
    assert error(found, case.reference(*in_float64(x))) <= case.f32


@pytest.mark.slow
@each()
def test_float64_equals_the_reference(case: Case) -> None:
    with jax.enable_x64(True):
        x = inputs(case, np.float64)
        found = compiled(case)(*x)
        assert found.dtype == jnp.float64 or not jnp.issubdtype(found.dtype, jnp.floating)
        assert error(found, case.reference(*x)) <= 1e-12


@pytest.mark.slow
@each(lambda case: any(map(floating, case.inputs(np.random.default_rng(0)))))
def test_bfloat16_keeps_its_dtype(case: Case) -> None:
    x = inputs(case, jnp.bfloat16)
    found = compiled(case)(*x)
    assert found.dtype == jnp.bfloat16
    assert error(found, case.reference(*in_float64(x))) <= case.bf16


@each(lambda case: case.grads)
def test_derivatives_equal_finite_differences(case: Case) -> None:
    """Reverse mode through the kernel's own backward pass where it has one, forward mode without
    it.
    """
    with jax.enable_x64(True):
        x = inputs(case, np.float64)
        (own, ways), size = directions(case, x), 1e-5

        def moved(by: float) -> Any:
            full = list(x)
            for place, value, way in zip(case.grads, own, ways, strict=True):
                full[place] = value + by * way
            return np.asarray(compiled(case)(*full))

        @jax.jit
        def both(own: Any, ways: Any, slope: Any) -> Any:
            with plain_derivatives(True):
                ahead = jax.jvp(of_grads(case, x), own, ways)[1]
            return ahead, jax.vjp(of_grads(case, x), *own)[1](slope)

        numerically = (moved(size) - moved(-size)) / (2 * size)
        slope = np.random.default_rng(2).standard_normal(numerically.shape)
        ahead, back = both(own, ways, slope)
        assert error(ahead, numerically) <= 1e-7
        through = sum(float((a * b).sum()) for a, b in zip(back, ways, strict=True))
        assert through == pytest.approx(
            float((slope * np.asarray(ahead)).sum()), rel=1e-9, abs=1e-9
        )


@each(lambda case: case.batched)
def test_an_example_does_not_depend_on_its_batch(case: Case) -> None:
    """A batch of copies of one example gives the output of that example in the whole batch."""
    x = inputs(case, np.float32)
    together = np.asarray(compiled(case)(*x))
    for i in range(len(together)):
        copies = np.full(len(together), i)
        found = compiled(case)(
            *(np.asarray(a)[copies] if place in case.batched else a for place, a in enumerate(x))
        )
        for row in np.asarray(found):
            np.testing.assert_allclose(row, together[i], rtol=1e-5, atol=1e-6)


@pytest.mark.nightly
@each(lambda case: case.batched)
def test_a_batch_equals_its_examples_one_by_one(case: Case) -> None:
    x = inputs(case, np.float32)
    together = np.asarray(compiled(case)(*x))
    for i in range(len(together)):
        alone = compiled(case)(
            *(a[i : i + 1] if place in case.batched else a for place, a in enumerate(x))
        )
        np.testing.assert_allclose(np.asarray(alone)[0], together[i], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@each(lambda case: case.edges)
def test_edges_equal_the_reference(case: Case) -> None:
    for name, x in case.edges.items():
        x = tuple(a.astype(np.float32) if floating(a) else a for a in x)
        with np.errstate(all="ignore"):
            expected = case.reference(*in_float64(x))
        found = np.asarray(compiled(case)(*x))
        np.testing.assert_allclose(found, expected, rtol=case.edge, atol=case.edge, err_msg=name)


def finite(case: Case) -> dict[str, tuple[Any, ...]]:
    """The edges that hold neither NaN nor infinity, where a derivative must be finite too."""
    return {
        name: x
        for name, x in case.edges.items()
        if all(np.isfinite(a).all() for a in x if floating(a))
    }


@pytest.mark.nightly
@each(lambda case: case.grads and finite(case))
def test_gradients_are_finite_at_finite_edges(case: Case) -> None:
    slopes = jax.jit(jax.grad(lambda *a: case.call(*a).sum(), argnums=tuple(case.grads)))
    for name, x in finite(case).items():
        x = tuple(jnp.asarray(a, jnp.float32) if floating(a) else a for a in x)
        for grad in slopes(*x):
            assert np.isfinite(grad).all(), name


@each(every_run=BRANCHED)
def test_cuda_and_tpu_can_be_lowered_for(case: Case) -> None:
    """Value and gradient: what runs there is another branch than on CPU, and nothing else here
    looks at it.
    """
    x = inputs(case, np.float32)
    jax.export.export(compiled(case), platforms=("cuda", "tpu"))(*x)
    if case.grads:
        own, _ = directions(case, x)
        slopes = jax.jit(
            jax.grad(lambda *own: of_grads(case, x)(*own).sum(), argnums=tuple(range(len(own))))
        )
        jax.export.export(slopes, platforms=("cuda", "tpu"))(*own)


@each(
    lambda case: case not in [cases("conv")[f"conv:{name}"] for name in ("many", "even")], BRANCHED
)
def test_what_other_platforms_compute_is_the_same(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branches that are not for CPU, run on CPU: the value against the reference, gradients
    against those of the CPU's branch.
    """
    with jax.enable_x64(True):
        x = inputs(case, np.float64)
        expected = case.reference(*x)
        own, slope, taken = (
            directions(case, x)[0],
            np.random.default_rng(2).standard_normal(np.shape(expected)),
            [],
        )

        def value_and_slopes(own: Any, slope: Any) -> Any:
            value, pull = jax.vjp(of_grads(case, x), *own)
            return value, pull(slope)

        here = jax.jit(value_and_slopes)(own, slope)[1]
        monkeypatch.setattr(
            jax.lax,
            "platform_dependent",
            lambda *a, cpu, default: (taken.append(cpu), default(*a))[1],
        )
        value, elsewhere = jax.jit(lambda *a: value_and_slopes(*a))(own, slope)
        assert taken
        assert error(value, expected) <= 1e-12
        for a, b in zip(elsewhere, here, strict=True):
            assert error(a, b) <= 1e-11
