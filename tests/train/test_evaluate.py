"""Evaluation: every example counts once, whatever the batch and the devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import sharding
from dlcore.data.source import Source, arrays
from dlcore.kernels import random
from dlcore.train.evaluate import LossEvaluation
from dlcore.train.step import Mean, Objective, Out, State, mean

N = 13
GENERATOR = np.random.default_rng(0)
SCORE, WEIGHT = GENERATOR.standard_normal(N), GENERATOR.integers(0, 3, (N, 2)).astype(np.float32)


def source() -> Source:
    """13 examples with a score and two weights each."""
    return arrays("set", "1", "test", {"score": SCORE.astype(np.float32), "weight": WEIGHT})


def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
    """Means over examples, over weights, and over nothing."""
    x = batch["score"] * params["net"]
    pairs = mean(jnp.stack([x, 2 * x], 1), batch["weight"] * batch["mask"][:, None])
    return Out(
        mean(x**2, batch["mask"]),
        {"pairs": pairs, "never": Mean(jnp.zeros(()), jnp.zeros(()))},
        extra,
    )


def evaluator(
    batch: int, devices: list[jax.Device], names: tuple[str, ...] = ("net",)
) -> LossEvaluation:
    """An evaluator of that loss."""
    layout = sharding.layout("jit", "", devices)
    return LossEvaluation(
        {name: Objective(loss, optax.identity()) for name in names}, layout, batch, seed=0
    )


def state() -> State:
    """One parameter."""
    return State(jnp.zeros((), jnp.int32), {"net": jnp.asarray(3.0)}, {}, {})


@pytest.mark.parametrize(("batch", "devices"), [(1, 1), (4, 1), (4, 4), (13, 1), (16, 4), (20, 2)])
def test_every_example_counts_once_for_any_batch(batch: int, devices: int) -> None:
    found = evaluator(batch, jax.devices()[:devices])(state(), source())
    pairs = np.stack([3 * SCORE, 6 * SCORE], 1)
    # one objective's name is left out, and so is what was never weighed
    assert set(found) == {"loss", "pairs"}
    assert found["loss"] == pytest.approx((9 * SCORE**2).mean(), rel=1e-6)
    assert found["pairs"] == pytest.approx((pairs * WEIGHT).sum() / WEIGHT.sum(), rel=1e-5)


def test_names_of_several_objectives_are_kept_and_the_state_can_be_used_again() -> None:
    several = evaluator(4, jax.devices()[:1], ("net", "other"))
    at = state()
    once, twice = several(at, source()), several(at, source())
    assert once == twice
    assert set(once) == {"net/loss", "net/pairs", "other/loss", "other/pairs"}


def noisy(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
    """A loss that is random: a Gaussian for each example, as a VAE draws them."""
    noise = random.normal(key, batch["row"], (3,))
    return Out(mean(noise.sum(-1), batch["mask"]), {"square": mean(noise**2, batch["mask"])}, extra)


@pytest.mark.slow
def test_a_random_loss_does_not_depend_on_the_batch_size_and_repeats_nothing() -> None:
    layout, many = (
        sharding.layout("jit", "", jax.devices()[:1]),
        arrays("set", "1", "test", {"x": np.zeros(200, np.float32)}),
    )
    found = [
        LossEvaluation({"net": Objective(noisy, optax.identity())}, layout, n, seed=0)(
            state(), many
        )
        for n in (32, 64, 128, 200)
    ]
    for each in found[1:]:
        assert each == pytest.approx(found[0], abs=1e-5)
    drawn = np.asarray(
        random.normal(jax.random.fold_in(jax.random.key(0), 0), jnp.arange(200), (3,)), np.float64
    )
    # as many draws as there are examples
    assert found[0]["loss"] == pytest.approx(drawn.sum(-1).mean(), abs=1e-5)
    assert found[0]["square"] == pytest.approx((drawn**2).mean(), abs=1e-5)


def test_splits_with_metrics_of_their_own_keep_their_names() -> None:
    """A split that has labels, then one that has none, then the first again, which is not traced
    anew.
    """

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        metrics = {"accuracy": mean(batch["label"] == 1, batch["mask"])} if "label" in batch else {}
        return Out(
            mean(batch["x"], batch["mask"]),
            {**metrics, "z": mean(batch["x"] * 0 + 5, batch["mask"])},
            extra,
        )

    x = np.full(6, 2, np.float32)
    labelled = arrays("set", "1", "a", {"x": x, "label": np.array([1, 1, 1, 0, 0, 0], np.int32)})
    plain = arrays("set", "1", "b", {"x": x})
    run = LossEvaluation(
        {"net": Objective(loss, optax.identity())},
        sharding.layout("jit", "", jax.devices()[:1]),
        4,
        seed=0,
    )
    for _ in range(2):
        assert run(state(), labelled) == {"accuracy": 0.5, "loss": 2, "z": 5}
        assert run(state(), plain) == {"loss": 2, "z": 5}


@pytest.mark.slow
def test_sums_over_many_batches_lose_nothing() -> None:
    """20,000 batches' worth of a float32 sum would have drifted; the sums are float64 on the
    host.
    """
    many = arrays(
        "set",
        "1",
        "test",
        {"score": np.full(4000, 0.1, np.float32), "weight": np.ones((4000, 2), np.float32)},
    )
    found = evaluator(8, jax.devices()[:1])(state(), many)
    assert found["loss"] == pytest.approx(float((np.float32(0.1) * np.float32(3)) ** 2), rel=2e-7)
