"""The one place where training code meets Flax."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.models.mlp import MLP

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).standard_normal((4, 4, 4, 1)).astype(np.float32)
NET = CNN((2, 3), hidden=4, classes=3, norm="batch")


@functools.partial(jax.jit, static_argnames=("name", "train"))
def applied(name: str, params: Any, extra: Any, train: bool = False) -> Any:
    return apply(NET, name, params, extra, X, train=train)


@functools.cache
def begun() -> Any:
    return jax.tree.map(np.asarray, jax.jit(NET.init)(jax.random.key(0), X))


def state() -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and extra of two networks, and something that is no network's."""
    made = begun()
    extra = {
        "a": {"batch_stats": made["batch_stats"]},
        "b": {"batch_stats": made["batch_stats"]},
        "carry": jnp.zeros(2),
    }
    return {"a": made["params"], "b": jax.tree.map(lambda x: x * 2, made["params"])}, extra


def test_training_changes_the_extra_state_of_its_own_name_alone() -> None:
    params, extra = state()
    before = jax.tree.map(np.asarray, extra)
    _, after = apply(NET, "a", params, extra, X, train=True)
    jax.tree.map(np.testing.assert_array_equal, extra, before)  # what was given stays as it was
    assert set(after) == {"a", "b", "carry"}
    assert after["b"] is extra["b"]
    assert after["carry"] is extra["carry"]
    mean = after["a"]["batch_stats"]["BatchNorm_0"]["mean"]
    assert (np.asarray(mean) != np.asarray(extra["a"]["batch_stats"]["BatchNorm_0"]["mean"])).all()
    assert jax.tree.structure(after) == jax.tree.structure(extra)


def test_evaluation_leaves_the_extra_state_as_it_is() -> None:
    params, extra = state()
    y, after = apply(NET, "a", params, extra, X)
    assert after == extra
    assert after is not extra
    np.testing.assert_allclose(y, NET.apply({"params": params["a"], **extra["a"]}, X), rtol=1e-6)


def test_the_parameters_of_the_name_are_used() -> None:
    params, extra = state()
    a, b = (np.asarray(applied(name, params, extra)[0]) for name in ("a", "b"))
    assert np.abs(a - b).max() > 1e-3


def test_the_key_reaches_dropout_and_a_network_without_extra_gets_none() -> None:
    net = MLP((32,), classes=3, dropout=0.5)
    params = {"net": net.init(jax.random.key(0), X)["params"]}

    def run(seed: int) -> Any:
        options: Any = {"key": jax.random.key(seed), "train": True, "row": jnp.arange(4)}
        return apply(net, "net", params, {"other": {}}, X, **options)

    y, after = run(0)
    assert after == {"other": {}}
    np.testing.assert_array_equal(run(0)[0], y)
    assert (np.asarray(run(1)[0]) != np.asarray(y)).any()
