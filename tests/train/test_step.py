"""The one abstraction, against sums worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.train.step import (
    Mean,
    Objective,
    Out,
    State,
    eval_step,
    mean,
    proposals,
    train_step,
    value,
)

NUMBERS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
    elements=st.floats(-100, 100, width=32),
)
X = np.array([1.0, 2.0, 6.0], np.float32)


def state(params: Mapping[str, Any], objectives: Mapping[str, Objective], **extra: Any) -> State:
    """A state of step 0."""
    params = {name: jnp.asarray(p) for name, p in params.items()}
    return State(
        jnp.zeros((), jnp.int32),
        params,
        extra,
        {n: o.optimizer.init(params[n]) for n, o in objectives.items()},
    )


def run(
    objectives: Mapping[str, Objective], at: State, steps: int = 1, batch: Any = None, seed: int = 0
) -> tuple[State, Any]:
    """Some steps on one batch; the last report."""
    step = jax.jit(lambda s, b: train_step(objectives, s, b, seed=seed))
    report: Any = None
    for _ in range(steps):
        at, report = step(at, {"x": X} if batch is None else batch)
    return at, report


def towards(f: Callable[[Any, Any], Any]) -> Any:
    """The loss mean (f(params, batch))^2 / 2."""
    return lambda params, extra, batch, key, train: Out(mean(f(params, batch) ** 2 / 2), {}, extra)


@pytest.mark.slow
@given(NUMBERS, st.data())
def test_mean_where_equals_the_mean_of_the_slice(x: np.ndarray, data: st.DataObject) -> None:
    where = np.array(data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))))
    for mask in (where, where.astype(np.float32)):
        found = mean(jnp.asarray(x), jnp.asarray(mask))
        assert float(found.weight) == x[where].size
        np.testing.assert_allclose(
            found.total, x[where].astype(np.float64).sum(), rtol=1e-5, atol=1e-4
        )
    if where.any():
        np.testing.assert_allclose(
            value(found), x[where].astype(np.float64).mean(), rtol=1e-5, atol=1e-4
        )
    else:
        assert np.isnan(value(found))


@pytest.mark.slow
@given(NUMBERS)
def test_mean_of_parts_adds_up_to_the_mean_of_all(x: np.ndarray) -> None:
    cut = len(x) // 2
    whole, a, b = (mean(jnp.asarray(part)) for part in (x, x[:cut], x[cut:]))
    np.testing.assert_allclose(a.total + b.total, whole.total, rtol=1e-5, atol=1e-3)
    assert float(a.weight + b.weight) == float(whole.weight)


@pytest.mark.slow
def test_mean_takes_weights_and_sums_in_float32() -> None:
    found = mean(jnp.array([1.0, 10.0, 100.0]), jnp.array([0.5, 2.0, 0.0]))
    assert (float(found.total), float(found.weight)) == (20.5, 2.5)
    thousands = mean(jnp.ones((5000,), jnp.bfloat16), jnp.ones((5000,), jnp.bfloat16))
    assert thousands.total.dtype == jnp.float32
    # bfloat16 cannot count beyond 256
    assert (float(thousands.total), float(thousands.weight)) == (5000, 5000)
    assert float(mean(jnp.array([True, True, False])).total) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_masked_reaches_neither_value_nor_gradient(bad: float) -> None:
    x, where = jnp.array([1.0, bad, 3.0]), jnp.array([1.0, 0.0, 1.0])
    total, grad = jax.value_and_grad(lambda x: mean(x, where).total)(x)
    assert float(total) == 4
    np.testing.assert_array_equal(grad, [1, 0, 1])


def test_a_step_on_a_quadratic_is_hand_worked_gradient_descent() -> None:
    objectives = {"w": Objective(towards(lambda p, b: p["w"] - b["x"]), optax.sgd(0.1))}
    at, report = run(objectives, state({"w": 0.0}, objectives))
    # Loss: (1 + 4 + 36) / 2 over 3; gradient: 0 - 3; update: + 0.1 * 3.
    assert float(report["w/loss"].total) == pytest.approx(20.5)
    assert float(report["w/loss"].weight) == 3
    assert float(value(report["w/grad_norm"])) == pytest.approx(3)
    assert float(at.params["w"]) == pytest.approx(0.3)
    assert int(at.step) == 1
    at, _ = run(objectives, at, 2)
    assert float(at.params["w"]) == pytest.approx(3 - 3 * 0.9**3, rel=1e-6)


def test_objectives_train_their_own_part_and_see_earlier_updates() -> None:
    """`a` goes to 4; `b` to `a`, whose gradient it would pull if it could; `frozen` has no
    objective.
    """
    objectives = {
        "a": Objective(towards(lambda p, b: p["a"] - 4 * p["frozen"]), optax.sgd(0.5)),
        "b": Objective(towards(lambda p, b: p["b"] - p["a"]), optax.sgd(0.1)),
    }
    at, report = run(objectives, state({"a": 0.0, "b": 0.0, "frozen": 1.0}, objectives))
    assert float(at.params["a"]) == 2.0  # 0 + 0.5 * 4
    assert float(at.params["b"]) == pytest.approx(0.2)  # 0.1 * (2 - 0): the new a, not the old one
    assert float(at.params["frozen"]) == 1
    assert float(value(report["b/loss"])) == pytest.approx(2.0)
    assert set(report) == {"a/loss", "a/grad_norm", "b/loss", "b/grad_norm"}
    # Played in the other order, b sees the old a.
    swapped = dict(reversed(objectives.items()))
    at, _ = run(swapped, state({"a": 0.0, "b": 0.0, "frozen": 1.0}, swapped))
    assert float(at.params["b"]) == 0.0


@pytest.mark.slow
def test_every_n_plays_in_each_nth_step_and_weighs_nothing_otherwise() -> None:
    loss = towards(lambda p, b: p["w"] - b["x"])
    objectives = {"w": Objective(loss, optax.sgd(0.1, momentum=0.9), every=3)}
    step = jax.jit(lambda s: train_step(objectives, s, {"x": X}, seed=0))
    at = state({"w": 0.0}, objectives)
    for number in range(1, 8):
        before = at
        at, report = step(at)
        assert int(at.step) == number
        if number % 3:
            jax.tree.map(
                np.testing.assert_array_equal, (at.params, at.opt), (before.params, before.opt)
            )
            assert all(float(m.weight) == 0 and float(m.total) == 0 for m in report.values())
        else:
            assert float(at.params["w"]) != float(before.params["w"])
            assert float(report["w/loss"].weight) == 3
    alone = {"w": objectives["w"]._replace(every=1)}
    twice, _ = run(alone, state({"w": 0.0}, alone), 2)
    # 7 steps hold two turns
    np.testing.assert_allclose(at.params["w"], twice.params["w"], rtol=1e-6)


def test_extra_goes_from_turn_to_turn_and_step_to_step() -> None:
    def counts(name: str) -> Any:
        def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
            extra = {
                **extra,
                "count": extra["count"] + 1,
                "log": extra["log"] * 10 + extra["count"],
            }
            return Out(mean(params[name] * batch["x"]), {}, extra)

        return loss

    objectives = {
        "a": Objective(counts("a"), optax.sgd(0.0)),
        "b": Objective(counts("b"), optax.sgd(0.0)),
    }
    at, _ = run(
        objectives,
        state(
            {"a": 0.0, "b": 0.0},
            objectives,
            count=jnp.asarray(1),
            log=jnp.asarray(0),
            kept=jnp.ones(2),
        ),
        2,
    )
    assert int(at.extra["count"]) == 5
    assert int(at.extra["log"]) == 1234
    np.testing.assert_array_equal(at.extra["kept"], [1, 1])


@pytest.mark.slow
def test_keys_differ_by_seed_step_and_objective_and_repeat() -> None:
    def noisy(name: str) -> Any:
        def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
            return Out(
                mean(params[name] * batch["x"]),
                {"drawn": Mean(jax.random.normal(key), jnp.ones(()))},
                extra,
            )

        return loss

    objectives = {name: Objective(noisy(name), optax.sgd(0.0)) for name in ("a", "b")}

    def drawn(seed: int, steps: int) -> list[float]:
        _, report = run(objectives, state({"a": 0.0, "b": 0.0}, objectives), steps, seed=seed)
        return [float(report[f"{name}/drawn"].total) for name in ("a", "b")]

    seen = [number for seed in (0, 1) for steps in (1, 2) for number in drawn(seed, steps)]
    assert len(set(seen)) == 8
    assert seen[2:4] == drawn(0, 2)


def test_evaluation_tells_the_losses_and_changes_nothing() -> None:
    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        assert not train
        return Out(
            mean(params["w"] - batch["x"], batch["mask"]),
            {"largest": mean(batch["x"], batch["mask"])},
            {"changed": 1},
        )

    objectives = {"w": Objective(loss, optax.sgd(0.1))}
    at = state({"w": 1.0}, objectives, kept=jnp.ones(()))
    report = eval_step(
        objectives, at, {"x": jnp.asarray(X), "mask": jnp.array([1.0, 1.0, 0.0])}, seed=0
    )
    assert {name: (float(m.total), float(m.weight)) for name, m in report.items()} == {
        "w/loss": (-1, 2),
        "w/largest": (3, 2),
    }
    assert float(at.params["w"]) == 1


@pytest.mark.slow
def test_a_batch_in_which_nothing_counts_teaches_nothing() -> None:
    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        return Out(mean((params["a"] - batch["x"]) ** 2, batch["mask"]), {}, extra)

    sgd = optax.sgd(0.1)
    state = State(jnp.zeros((), jnp.int32), {"a": jnp.ones(())}, {}, {"a": sgd.init(jnp.ones(()))})
    batch = {"x": jnp.full((4,), 3.0), "mask": jnp.zeros(4)}
    after, report = train_step({"a": Objective(loss, sgd)}, state, batch, seed=0)
    assert float(after.params["a"]) == 1
    assert float(report["a/loss"].weight) == 0


@pytest.mark.slow
def test_devices_leave_what_is_frozen_and_what_is_no_float_alone(devices: list[jax.Device]) -> None:
    """Three copies of a number do not add up to three times it in float32; flags and counts are
    nobody's mean.
    """
    frozen = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    extra = {
        "frozen": frozen,
        "reported": np.array([True, False]),
        "count": np.int32(7),
        "moving": np.zeros(2, np.float32),
    }

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        later = {**extra, "count": extra["count"] + 1, "moving": extra["moving"] + batch["x"].sum()}
        return Out(mean(params["net"] * batch["x"]), {}, later)

    objectives = {"net": Objective(loss, optax.sgd(0.1))}
    place = sharding.layout("shard_map", "", devices[:3])
    step = lambda s, b: train_step(objectives, s, b, seed=0, axis="data")  # noqa: E731
    run = jax.shard_map(
        step, mesh=place.mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=False
    )
    after, report = jax.jit(run)(
        state({"net": 2.0}, objectives, **jax.tree.map(jnp.asarray, extra)), {"x": X}
    )
    np.testing.assert_array_equal(after.extra["frozen"], frozen)
    np.testing.assert_array_equal(after.extra["reported"], [True, False])
    assert int(after.extra["count"]) == 8
    # each device moved it by its own example
    np.testing.assert_allclose(after.extra["moving"], X.mean())
    assert float(after.params["net"]) == pytest.approx(2.0 - 0.1 * X.mean())
    assert float(value(report["net/loss"])) == pytest.approx(2 * X.mean())


@pytest.mark.slow
def test_proposals_are_the_updates_of_the_next_step_with_its_noise() -> None:
    def loss(params: Any, extra: Any, batch: Any, key: jax.Array, train: bool) -> Out:
        return Out(mean(batch["x"] * params["a"] * jax.random.normal(key)), {}, extra)

    objectives = {"a": Objective(loss, optax.sgd(1.0))}
    at, seen = state({"a": 2.0}, objectives), []
    for _ in range(3):
        grads, updates = proposals(objectives, at, {"x": X}, seed=5)["a"]
        after, _ = run(objectives, at, seed=5)
        np.testing.assert_allclose(updates, after.params["a"] - at.params["a"], rtol=1e-5)
        np.testing.assert_allclose(grads, -updates, rtol=1e-6)
        seen.append(float(grads))
        at = after
    assert len({*seen}) == 3
