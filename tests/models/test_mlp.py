"""Feed-forward networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.mlp import MLP, Many
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)


def test_equals_matrix_products_in_float64() -> None:
    net = MLP((5, 6), classes=3, activation=jnp.tanh)
    params = init(net, jax.random.key(0), X)["params"]
    y = X.reshape(4, 6).astype(np.float64)
    for layer in range(3):
        part = params[f"Dense_{layer}"]
        y = y @ np.asarray(part["kernel"], np.float64) + np.asarray(part["bias"], np.float64)
        y = np.tanh(y) if layer < 2 else y
    np.testing.assert_allclose(apply(net, {"params": params}, X), y, rtol=1e-5, atol=1e-6)


def test_dropout_zeroes_hidden_units_by_row_in_training_alone() -> None:
    plain, net = MLP((64,), classes=64), MLP((64,), classes=64, dropout=0.5)
    params = init(net, jax.random.key(0), X)["params"]
    # An output layer that is the identity shows the hidden one.
    params = {**params, "Dense_1": {"kernel": jnp.eye(64), "bias": jnp.zeros(64)}}

    def run(rows: list[int]) -> np.ndarray:
        rngs = {"dropout": jax.random.key(1)}
        return np.asarray(
            apply(net, {"params": params}, X[rows], train=True, row=jnp.asarray(rows), rngs=rngs)
        )

    hidden = np.asarray(apply(plain, {"params": params}, X))
    np.testing.assert_array_equal(apply(net, {"params": params}, X, row=jnp.arange(4)), hidden)
    dropped = run([0, 1, 2, 3])
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * hidden[kept], rtol=1e-5)
    assert 0.3 < kept[hidden > 0].mean() < 0.7
    np.testing.assert_allclose(run([3, 1]), dropped[[3, 1]], rtol=1e-5)


def test_normalisation_stands_between_product_and_activation() -> None:
    for norm in ("layer", "batch"):
        net = MLP((5,), classes=3, activation=jnp.tanh, norm=norm)
        variables = init(net, jax.random.key(0), X)
        params = variables["params"]
        assert "bias" not in params["Dense_0"]
        own = next(key for key in params if key.endswith("Norm_0"))
        scale, bias = (
            np.linspace(0.5, 1.5, 5, dtype=np.float32),
            np.linspace(-1, 1, 5, dtype=np.float32),
        )
        params = {**params, own: {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}}
        y = X.reshape(4, 6).astype(np.float64) @ np.asarray(params["Dense_0"]["kernel"], np.float64)
        axis = 1 if norm == "layer" else 0
        y = (y - y.mean(axis, keepdims=True)) / np.sqrt(y.var(axis, keepdims=True) + 1e-5)
        want = np.tanh(y * scale + bias) @ np.asarray(params["Dense_1"]["kernel"], np.float64)
        extra = {key: value for key, value in variables.items() if key != "params"}
        found = apply(
            net, {"params": params, **extra}, X, train=True, row=jnp.arange(4), mutable=tuple(extra)
        )[0]
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_many_networks_are_each_as_if_it_were_alone() -> None:
    many, one = (
        Many(3, (5,), classes=2, activation=jnp.tanh),
        MLP((5,), classes=2, activation=jnp.tanh),
    )
    x = np.random.default_rng(1).standard_normal((3, 4, 6)).astype(np.float32)
    params = init(many, jax.random.key(0), x)["params"]
    (inner,) = params.values()
    kernels = np.asarray(inner["Dense_0"]["kernel"])
    assert kernels.shape == (3, 6, 5)
    assert not np.allclose(kernels[0], kernels[1]), "each begins elsewhere"
    found = apply(many, {"params": params}, x)
    assert found.shape == (3, 4, 2)
    for i in range(3):
        alone = apply(one, {"params": jax.tree.map(lambda p, i=i: p[i], inner)}, x[i])
        np.testing.assert_allclose(found[i], alone, rtol=1e-5, atol=1e-6)


def test_many_networks_drop_units_of_their_own_by_row() -> None:
    many = Many(2, (64,), classes=3, dropout=0.5)
    x = np.broadcast_to(X.reshape(1, 4, 6), (2, 4, 6))
    params = init(many, jax.random.key(0), x)["params"]
    # Both the same network: what differs is the mask alone.
    params = jax.tree.map(lambda p: jnp.broadcast_to(p[:1], p.shape), params)

    def run(rows: list[int]) -> np.ndarray:
        rngs = {"dropout": jax.random.key(1)}
        return np.asarray(
            apply(
                many, {"params": params}, x[:, rows], train=True, row=jnp.asarray(rows), rngs=rngs
            )
        )

    dropped = run([0, 1, 2, 3])
    assert not np.allclose(dropped[0], dropped[1])
    np.testing.assert_allclose(run([3, 1]), dropped[:, [3, 1]], rtol=1e-5)
