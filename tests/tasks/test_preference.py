"""Preference tuning: an untrained policy is its reference, and tuning tells right from wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.gpt import GPT, Size
from dlcore.tasks import preference
from dlcore.train.model import Model
from dlcore.train.step import State

pytestmark = pytest.mark.slow

SIZE = Size(11, 6, layers=1, heads=2, width=8, rotary=True)
POLICY = Model("net", GPT(SIZE), inputs=lambda batch, key, train: batch["tokens"])
REFERENCE = replace(POLICY, name="reference")


def batch() -> dict[str, Any]:
    """Four answers, of which two are right."""
    generator = np.random.default_rng(0)
    made: dict[str, Any] = {
        f"{which}{name}": generator.integers(0, 11, (4, 6)).astype(np.int32)
        for which in ("", "other_")
        for name in ("tokens", "targets")
    }
    for which in ("", "other_"):
        made[f"{which}weight"] = (np.arange(6) > 3).astype(np.float32)[None].repeat(4, 0)
    made["desirable"] = np.array([1, 0, 1, 0], np.float32)
    made["mask"], made["row"] = np.ones(4, np.float32), np.arange(4, dtype=np.int32)
    return {name: jnp.asarray(array) for name, array in made.items()}


def params(seed: int = 0) -> Any:
    """Random parameters."""
    return jax.jit(GPT(SIZE).init)(jax.random.key(seed), jnp.zeros((1, 6), jnp.int32))["params"]


def test_a_policy_that_is_its_reference_loses_a_half_and_only_it_has_a_gradient() -> None:
    loss = preference.loss(POLICY, REFERENCE, 0.1, 1.0, 3.0)
    both = {"net": params(), "reference": params()}

    def total(both: Any) -> Any:
        out = loss(both, {}, batch(), jax.random.key(0), True)
        return out.loss.total / out.loss.weight, out.metrics

    (value, metrics), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(both)
    assert value == pytest.approx((1 + 3) / 2 / 2, rel=1e-5)
    assert metrics["divergence"].total == pytest.approx(0, abs=1e-5)
    assert all(not np.asarray(x).any() for x in jax.tree.leaves(slope["reference"]))
    assert any(np.asarray(x).any() for x in jax.tree.leaves(slope["net"]))


def test_steps_against_the_gradient_make_right_answers_likelier_than_wrong_ones() -> None:
    loss = preference.loss(POLICY, REFERENCE, 0.1)

    def total(net: Any) -> Any:
        out = loss({"net": net, "reference": params()}, {}, batch(), jax.random.key(0), True)
        return out.loss.total / out.loss.weight

    net, slope = params(), jax.jit(jax.grad(total))
    for _ in range(20):
        net = jax.tree.map(lambda x, g: x - 2.0 * g, net, slope(net))
    found = preference.log_ratios(
        POLICY, REFERENCE, {"net": net, "reference": params()}, {}, batch()
    )
    assert np.asarray(found.own)[[0, 2]].min() > np.asarray(found.own)[[1, 3]].max()


def test_the_loss_of_a_tuned_policy_by_hand() -> None:
    both, batch_ = {"net": params(1), "reference": params()}, batch()
    batch_["mask"] = jnp.asarray([1, 1, 1, 0], jnp.float32)
    found = preference.log_ratios(POLICY, REFERENCE, both, {}, batch_)
    loss = jax.jit(preference.loss(POLICY, REFERENCE, 0.7, 1.0, 3.0), static_argnums=4)
    for sign in (1, -1):  # a reference point above 0, and one that would be below
        point = max(0.0, sign * float(found.other[:3].mean()))
        own = sign * np.asarray(found.own)
        if sign < 0:  # policy and reference change places
            both = {"net": both["reference"], "reference": both["net"]}
        right, sigmoid = np.asarray(batch_["desirable"]) > 0, lambda x: 1 / (1 + np.exp(-x))
        value = np.where(
            right, 1 - sigmoid(0.7 * (own - point)), 3 * (1 - sigmoid(0.7 * (point - own)))
        )
        out = loss(both, {}, batch_, jax.random.key(0), True)
        assert float(out.loss.total) == pytest.approx(value[:3].sum(), rel=1e-4)
        divergence = out.metrics["divergence"]
        assert float(divergence.total / divergence.weight) == pytest.approx(point, abs=1e-5)


def test_what_is_collected_are_scores_of_a_token() -> None:
    (evaluator,) = preference.evaluators(POLICY, REFERENCE, {})
    both, batch_ = {"net": params(1), "reference": params()}, batch()
    batch_["dialogue"] = jnp.arange(4)
    state: Any = State(jnp.zeros((), jnp.int32), both, {}, {})
    collected = jax.jit(evaluator.collect)(state, batch_)
    x, rows = np.asarray(batch_["targets"]), np.arange(4)[:, None]
    for name, source in (("policy", "net"), ("reference", "reference")):
        logits = GPT(SIZE).apply({"params": both[source]}, batch_["tokens"])
        logp = np.asarray(jax.nn.log_softmax(logits))[rows, np.arange(6), x]
        np.testing.assert_allclose(collected[name], logp[:, 4:].mean(1), rtol=1e-4, atol=1e-5)
    difference = 2 * (np.asarray(collected["policy"]) - np.asarray(collected["reference"]))
    np.testing.assert_allclose(collected["reward"], difference, rtol=1e-3, atol=1e-4)


def test_scores_are_of_the_ratio_and_of_both_models() -> None:
    (evaluator,) = preference.evaluators(POLICY, REFERENCE, {})
    right = np.array([1, 1, 0, 0], np.float32)
    collected = {
        "reward": np.array([3, 2, 1, 0], np.float32),
        "policy": np.array([0, 2, 1, 3], np.float32),
        "reference": np.array([0, 1, 2, 3], np.float32),
        "right": right,
        "dialogue": np.arange(4),
    }
    found = evaluator.score(None, collected, "test")  # type: ignore[arg-type]
    assert found.keys() == evaluator.metrics.keys()
    assert [found[f"{name}_accuracy"] for name in ("reward", "policy", "reference")] == [1, 0.25, 0]
    assert found["gain"] == 1
