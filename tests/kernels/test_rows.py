"""Sums: of matrix products on CPU, of reductions elsewhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.rows import column_sum, device_sum, row_sum, square_sum
from tests.kernels.case import Case, normals

EDGES = {
    "one element": (np.array([[3.0]]),),
    "one column": (np.arange(4.0)[:, None],),
    "huge": (np.array([[1e30, 2e30, -1e4], [1e4, 1.0, 1e-30]]),),
    "tiny": (np.full((2, 3), 1e-30),),
    "infinite": (np.array([[np.inf, 1.0, 2.0], [-np.inf, 0.0, 1.0], [1.0, 2.0, 3.0]]),),
    "not a number": (np.array([[np.nan, 1.0, 2.0], [0.0, 1.0, 2.0]]),),
}

CASES = {
    "row_sum": Case(
        row_sum, lambda x: x.sum(-1, keepdims=True), normals((3, 4, 5)), grads=(0,), edges=EDGES
    ),
    "device_sum": Case(
        jax.vmap(lambda x: device_sum(x, "data"), axis_name="data"),
        lambda x: np.broadcast_to(x.sum(0), x.shape),
        normals((3, 4, 5)),
        grads=(0,),
        batched=(),
        edges=EDGES,
    ),
    "column_sum": Case(
        column_sum,
        lambda x: x.reshape(-1, x.shape[-1]).sum(0),
        normals((3, 4, 5)),
        grads=(0,),
        batched=(),
        edges=EDGES,
    ),
    "square_sum": Case(
        lambda x: square_sum(x).astype(x.dtype),
        lambda x: (x**2).sum(),
        normals((3, 4, 5)),
        grads=(0,),
        batched=(),
        edges={name: x for name, x in EDGES.items() if name != "huge"}
        | {"a number": (np.array(3.0),), "none": (np.zeros((2, 0)),)},
    ),
}


def test_devices_sums_of_a_tree_are_added_in_their_order() -> None:
    """Large and small, of several types and of none: each to the bit what adding the devices' terms
    one by one gives.
    """
    rng = np.random.default_rng(0)
    shapes = {"large": (4, 33, 31), "one": (4,), "none": (4, 0), "small": (4, 3)}
    tree: dict[str, np.ndarray] = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    tree |= {
        "counts": rng.integers(0, 9, (4, 700)).astype(np.int32),
        "half": rng.standard_normal((4, 5)).astype(jnp.bfloat16),
    }
    got = jax.jit(jax.vmap(lambda x: device_sum(x, "data"), axis_name="data"))(tree)
    for name, terms in tree.items():
        want = terms[0]
        for term in terms[1:]:
            want = want + term
        assert got[name].dtype == terms.dtype
        if name == "half":  # the compiler may add in a wider type
            want = want.astype(np.float32)
            np.testing.assert_allclose(
                np.asarray(got[name], np.float32),
                np.broadcast_to(want, terms.shape),
                rtol=0.02,
                atol=0.02,
            )
        else:
            np.testing.assert_array_equal(
                got[name], np.broadcast_to(want, terms.shape), err_msg=name
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "dtype"), [(1, "float32"), (127, "float32"), (3001, "float32"), (256, "bfloat16")]
)
def test_ones_are_counted_exactly(n: int, dtype: str) -> None:
    ones = jnp.ones((1, n), dtype)
    assert float(row_sum(ones)[0, 0]) == ones.size
    assert float(column_sum(ones.T)[0]) == ones.size


def test_other_platforms_get_a_plain_reduction() -> None:
    x = jnp.ones((4, 8))
    for kernel in (row_sum, column_sum, square_sum):
        traced = jax.jit(kernel).trace(x)
        assert "dot_general" in traced.lower(lowering_platforms=("cpu",)).as_text()
        for platform in ("cuda", "tpu"):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            assert "dot_general" not in text
            assert "stablehlo.reduce" in text


@pytest.mark.slow
def test_squares_of_half_precision_are_added_in_float32() -> None:
    squares = square_sum(jnp.full(300, 300.0, jnp.float16))  # one square alone is beyond float16
    assert squares.dtype == jnp.float32
    assert float(squares) == 300**3


def test_large_sums_over_devices_are_shared_out_and_small_ones_are_not() -> None:
    def collectives(size: int) -> set[str]:
        traced = str(
            jax.make_jaxpr(lambda x: device_sum(x, "data"), axis_env=[("data", 4)])(jnp.ones(size))
        )
        return {name for name in ("all_to_all", "all_gather") if f" {name}[" in traced}

    assert collectives(64 * 4 - 1) == {"all_gather"}
    assert collectives(64 * 4) == {"all_to_all", "all_gather"}
