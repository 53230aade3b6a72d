"""bfloat16 inside, float32 outside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.train import optim
from dlcore.train.precision import with_precision
from dlcore.train.step import Objective, Out, State, mean, train_step

BATCH = {
    "x": np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3),
    "tokens": np.arange(8, dtype=np.int32),
    "image": np.zeros((8, 2), np.uint8),
}


def objective(seen: dict[str, Any]) -> Objective:
    """A regression that writes down which types it meets."""

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        weight = params["net"]["w"]
        guess = batch["x"].astype(weight.dtype) @ weight  # as a Model does
        seen.update(
            {k: v.dtype for k, v in batch.items()},
            w=params["net"]["w"].dtype,
            guess=guess.dtype,
            extra=extra["average"].dtype,
        )
        return Out(mean((guess - 1) ** 2), {}, extra)

    return Objective(loss, optim.make("adamw", 0.01, weight_decay=0.1))


def step(precision: Any, seen: dict[str, Any]) -> tuple[State, Any]:
    """One step from the same start."""
    plain = {"net": objective(seen)}
    params = {"net": {"w": jnp.linspace(0.1, 0.4, 3)[:, None]}}
    opt = {"net": plain["net"].optimizer.init(params["net"])}
    at = State(jnp.zeros((), jnp.int32), params, {"average": jnp.zeros(())}, opt)
    return jax.jit(lambda s: train_step(with_precision(plain, precision), s, BATCH, seed=0))(at)


@pytest.mark.slow
def test_bfloat16_inside_and_float32_outside() -> None:
    seen: dict[str, Any] = {}
    at, report = step("bf16", seen)
    assert {name: str(dtype) for name, dtype in seen.items()} == {
        "x": "float32",
        "w": "bfloat16",
        "guess": "bfloat16",
        "tokens": "int32",
        "image": "uint8",
        "extra": "float32",
    }
    kept = jax.tree.leaves((at.params, at.opt, at.extra, report))
    assert {str(x.dtype) for x in kept} == {"float32", "int32"}


def test_bfloat16_is_close_to_float32_and_float32_is_left_alone() -> None:
    seen: dict[str, Any] = {}
    full, metrics = step("f32", seen)
    assert {str(seen[name]) for name in ("x", "w", "guess")} == {"float32"}
    narrow, other_metrics = step("bf16", seen)
    loss, loss_too = (
        float(t["net/loss"].total / t["net/loss"].weight) for t in (metrics, other_metrics)
    )
    assert loss_too != loss
    assert abs(loss_too / loss - 1) < 1e-2
    np.testing.assert_allclose(narrow.params["net"]["w"], full.params["net"]["w"], atol=1e-3)
    plain = {"net": objective({})}
    assert with_precision(plain, "f32") == plain


@pytest.mark.slow
def test_updates_smaller_than_bfloat16_can_hold_are_not_lost() -> None:
    at, _ = step("bf16", {})
    start = jnp.linspace(0.1, 0.4, 3)[:, None]
    moved = np.asarray(at.params["net"]["w"] - start)
    assert (np.abs(moved) > 0.005).all()
    assert (
        np.asarray(at.params["net"]["w"].astype(jnp.bfloat16).astype(jnp.float32))
        != np.asarray(at.params["net"]["w"])
    ).any()
