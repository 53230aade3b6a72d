"""Feed-forward networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.models.mlp import MLP

X = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)


def test_equals_matrix_products_in_float64() -> None:
    net = MLP((5, 6), classes=3, activation=jnp.tanh)
    params = net.init(jax.random.key(0), X)["params"]
    y = X.reshape(4, 6).astype(np.float64)
    for layer in range(3):
        part = params[f"Dense_{layer}"]
        y = y @ np.asarray(part["kernel"], np.float64) + np.asarray(part["bias"], np.float64)
        y = np.tanh(y) if layer < 2 else y
    np.testing.assert_allclose(net.apply({"params": params}, X), y, rtol=1e-5, atol=1e-6)


def test_dropout_zeroes_hidden_units_by_row_in_training_alone() -> None:
    plain, net = MLP((64,), classes=64), MLP((64,), classes=64, dropout=0.5)
    params = net.init(jax.random.key(0), X)["params"]
    # An output layer that is the identity shows the hidden one.
    params = {**params, "Dense_1": {"kernel": jnp.eye(64), "bias": jnp.zeros(64)}}

    def run(rows: list[int]) -> np.ndarray:
        rngs = {"dropout": jax.random.key(1)}
        return np.asarray(net.apply({"params": params}, X[rows], train=True, row=jnp.asarray(rows), rngs=rngs))

    hidden = np.asarray(plain.apply({"params": params}, X))
    np.testing.assert_array_equal(net.apply({"params": params}, X, row=jnp.arange(4)), hidden)
    dropped = run([0, 1, 2, 3])
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * hidden[kept], rtol=1e-6)
    assert 0.3 < kept[hidden > 0].mean() < 0.7
    np.testing.assert_allclose(run([3, 1]), dropped[[3, 1]], rtol=1e-6)
