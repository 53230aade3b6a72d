"""Microbatches: the same sums in parts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.train.accumulate import over_microbatches
from dlcore.train.step import Objective, Out, State, mean, train_step

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(0)
# ragged: microbatches of two hold 2, 1, 0 and 1 examples
MASK = np.array([1, 0, 0, 0, 1, 1, 0, 1], np.float64)
BATCH = {
    "x": GENERATOR.standard_normal((8, 3)),
    "y": GENERATOR.standard_normal(8),
    "mask": MASK,
    "row": np.arange(8, dtype=np.int32),
}
PARAMS = {"w": GENERATOR.standard_normal((3, 1)), "b": np.zeros(1)}


def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
    """A small regression, with a mask."""
    guess = jnp.tanh(batch["x"] @ params["net"]["w"])[:, 0] + params["net"]["b"]
    error = mean((guess - batch["y"]) ** 2, batch["mask"])
    return Out(
        error, {"bias": mean(guess - batch["y"], batch["mask"])}, {"seen": extra["seen"] + 1}
    )


def step(microbatches: int) -> tuple[State, Any]:
    """Two steps of gradient descent."""
    objectives = {"net": Objective(loss, optax.sgd(0.1))}
    params = {"net": jax.tree.map(jnp.asarray, PARAMS)}
    at = State(
        jnp.zeros((), jnp.int32),
        params,
        {"seen": jnp.zeros((), jnp.int32)},
        {"net": optax.sgd(0.1).init(params["net"])},
    )
    run = jax.jit(lambda s: train_step(objectives, s, BATCH, seed=0, microbatches=microbatches))
    at, _ = run(at)
    return run(at)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_any_number_of_microbatches_is_one_batch(n: int) -> None:
    with jax.enable_x64(True):
        (one, metrics), (several, other_metrics) = step(1), step(n)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12),
            (one.params, metrics),
            (several.params, other_metrics),
        )
        assert several.params["net"]["w"].dtype == jnp.float64
        # each sees what the one before it left
        assert int(several.extra["seen"]) == n * int(one.extra["seen"])
        assert float(other_metrics["net/loss"].weight) == MASK.sum()


def test_a_mean_of_means_would_be_something_else() -> None:
    """What the sums are there for: the same microbatches, each divided by its own weight, miss the
    gradient by far.
    """
    with jax.enable_x64(True):

        def grad(own: Any, extra: Any, batch: Any) -> Any:
            def total(own: Any) -> Any:
                out = loss({"net": own}, extra, batch, None, True)
                return out.loss.total, out

            return jax.grad(total, has_aux=True)(own)

        params, extra = jax.tree.map(jnp.asarray, PARAMS), {"seen": jnp.zeros((), jnp.int32)}
        grads, out = over_microbatches(grad, params, extra, jax.tree.map(jnp.asarray, BATCH), 4)
        right = np.asarray(grads["w"] / out.loss.weight)
        parts = [
            grad(params, extra, {k: jnp.asarray(v[i::4]) for k, v in BATCH.items()})
            for i in range(4)
        ]
        means = np.mean(
            [np.asarray(g["w"] / o.loss.weight) for g, o in parts if o.loss.weight > 0], 0
        )
        assert np.abs(means - right).max() > 0.1 * np.abs(right).max()


def test_microbatches_are_taken_from_every_device_evenly() -> None:
    """Microbatch i holds the rows i, i + n, ...: a device's rows, which follow one another, give as
    many to each.
    """
    seen = []

    def grad(own: Any, extra: Any, batch: Any) -> Any:
        jax.debug.callback(lambda rows: seen.append(rows.tolist()), batch["row"], ordered=True)
        return jax.tree.map(jnp.zeros_like, own), Out(mean(batch["x"]), {}, extra)

    out = over_microbatches(grad, jnp.zeros(1), {}, jax.tree.map(jnp.asarray, BATCH), 2)
    jax.block_until_ready(out)
    jax.effects_barrier()
    assert seen == [[0, 2, 4, 6], [1, 3, 5, 7]]
