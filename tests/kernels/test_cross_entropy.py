"""Linear cross-entropy: as if the logits had been kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.kernels import cross_entropy
from dlcore.kernels.cross_entropy import linear_cross_entropy
from tests.kernels.case import Case

pytestmark = pytest.mark.slow


def reference(
    hidden: np.ndarray, table: np.ndarray, targets: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    kept = weight > 0
    logits = hidden[kept] @ table.T
    top = logits.max(-1, keepdims=True, initial=-np.inf)
    lse = top[:, 0] + np.log(np.exp(logits - top).sum(-1))
    return np.sum(weight[kept] * (lse - logits[np.arange(kept.sum()), targets[kept]]), initial=0.0)


def made(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    weight = generator.uniform(0, 2, 7) * (generator.uniform(size=7) > 0.3)
    return (
        generator.standard_normal((7, 5)),
        generator.standard_normal((11, 5)),
        generator.integers(0, 11, 7),
        weight,
    )


def few(
    hidden: np.ndarray, table: np.ndarray, targets: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, ...]:
    return tuple(
        np.asarray(x, np.int32 if x is targets else np.float32)
        for x in (hidden, table, targets, weight)
    )


H, E, T, W = few(*made(np.random.default_rng(1)))
NAN = np.where(np.arange(7)[:, None] == 2, np.nan, H).astype(np.float32)
CASES = {
    "linear_cross_entropy": Case(
        # chunks of two rows, the last one filled up
        lambda h, *x: linear_cross_entropy(h, *x, elements=30).astype(h.dtype),
        reference,
        made,
        grads=(0, 1),
        batched=(),
        f32=1e-6,
        edges={
            "one row": (H[:1], E, T[:1], np.ones(1, np.float32)),
            "one word": (H, E[:1], np.zeros(7, np.int32), W),
            "all masked": (H, E, T, np.zeros(7, np.float32)),
            "NaN where nothing is weighed": (
                NAN,
                E,
                T,
                np.where(np.arange(7) == 2, 0, 1).astype(np.float32),
            ),
            "NaN": (NAN, E, T, np.ones(7, np.float32)),
            "huge": (1e4 * H, E, T, W),
            "tiny": (1e-30 * H, E, T, W),
        },
    )
}


@pytest.mark.parametrize(("rows", "elements"), [(1, 1), (9, 1), (9, 6), (9, 13), (8, 24), (5, 60)])
def test_chunks_change_nothing(rows: int, elements: int) -> None:
    """Chunks of a row and of all, that divide the rows or leave a rest; where a gradient is asked
    for, and where none is.
    """
    generator = np.random.default_rng(rows)
    h, e, t = (
        generator.standard_normal((rows, 3)),
        generator.standard_normal((6, 3)),
        generator.integers(0, 6, rows),
    )
    w = generator.uniform(0, 1, rows)
    x, expected = [jnp.asarray(a) for a in (h, e, t, w)], reference(h, e, t, w)
    assert float(jax.jit(linear_cross_entropy, static_argnums=4)(*x, elements)) == pytest.approx(
        expected, 1e-5
    )
    value, slope = jax.jit(jax.value_and_grad(linear_cross_entropy), static_argnums=4)(*x, elements)
    assert float(value) == pytest.approx(expected, 1e-5)
    logits = h @ e.T
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(slope, w[:, None] * (p - np.eye(6)[t]) @ e, atol=1e-5)


def test_gradients_equal_those_of_the_kept_logits() -> None:
    def plain(h: jax.Array, e: jax.Array) -> jax.Array:
        return 3 * (optax.softmax_cross_entropy_with_integer_labels(h @ e.T, T) * W).sum()

    ours = jax.jit(jax.grad(lambda h, e: 3 * linear_cross_entropy(h, e, T, W, 30), (0, 1)))(H, E)
    for a, b in zip(ours, jax.jit(jax.grad(plain, (0, 1)))(H, E), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_masked_row_has_no_gradient_and_spoils_none() -> None:
    weight = np.where(np.arange(7) == 2, 0, W)
    slopes = jax.jit(jax.grad(lambda h, e: linear_cross_entropy(h, e, T, weight, 30), (0, 1)))
    for a, b in zip(slopes(NAN, E), slopes(H, E), strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_is_flat_in_the_vocabulary() -> None:
    """A quarter of what the kept logits take, at 50,000 words; compiled, not run."""
    hidden, table = (jax.ShapeDtypeStruct((n, 128), jnp.float32) for n in (4096, 50_000))
    targets = jax.ShapeDtypeStruct((4096,), jnp.int32)

    def temporary(f: object) -> int:
        analysis = (
            jax.jit(jax.grad(f, (0, 1))).lower(hidden, table, targets).compile().memory_analysis()
        )  # type: ignore[arg-type]
        return int(analysis.temp_size_in_bytes)

    ours = temporary(lambda h, e, t: linear_cross_entropy(h, e, t, jnp.ones(len(h))))
    plain = temporary(
        lambda h, e, t: optax.softmax_cross_entropy_with_integer_labels(h @ e.T, t).sum()
    )
    assert ours < plain / 4


@pytest.mark.parametrize(
    ("rows", "elements", "shape"),
    [(40, 11 * 40, (1, 40)), (40, 11 * 39, (2, 32)), (100, 11 * 34, (3, 48)), (9, 1, (9, 16))],
)
def test_chunks_are_as_many_as_the_logits_need_and_much_alike(
    rows: int, elements: int, shape: tuple[int, int]
) -> None:
    """One chunk as it is; several in sixteens of rows, the last filled up with rows of weight 0."""
    h, t, w = np.ones((rows, 5), np.float32), np.ones(rows, np.int32), np.ones(rows, np.float32)
    hidden, targets, weight = cross_entropy._chunks(h, E, t, w, elements)
    assert (hidden.shape, targets.shape, weight.shape) == ((*shape, 5), shape, shape)
    np.testing.assert_array_equal(np.ravel(weight), np.arange(shape[0] * shape[1]) < rows)


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="need one width"):
        linear_cross_entropy(H, E[:, :2], T, W)
    for targets, weight in ((T[:3], W), (T, W[:3])):
        with pytest.raises(ValueError, match="a number for each of 7 rows"):
            linear_cross_entropy(H, E, targets, weight)
    for hidden, table, elements in ((H[0], E, 9), (H, E[0], 9), (H, E, 0)):
        with pytest.raises(ValueError, match="need one width"):
            linear_cross_entropy(hidden, table, T, W, elements)
