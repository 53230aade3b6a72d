"""Convolutional networks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from dlcore.models.cnn import CNN
from experiments.cnn_fashion_mnist import Config
from tests.models.compiled import apply, init

X = np.random.default_rng(0).standard_normal((3, 8, 4, 2)).astype(np.float32)
WIDTHS = (3, 4)


def in_float64(tree: Any) -> Any:
    """In float64."""
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """3x3, the image surrounded by zeros; channel by channel."""
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for image, into, out in np.ndindex(len(x), *kernel.shape[2:]):
        y[image, ..., out] += correlate2d(x[image, ..., into], kernel[..., into, out], mode="same")
    return y


def textbook(params: Any, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and hidden layer in float64."""
    p, x = in_float64(params), X.astype(np.float64)
    for layer in range(2):
        conv = p[f"Conv_{layer}"]
        x = convolved(x, conv["kernel"]) + conv.get("bias", 0)
        if norm == "batch":  # the running averages of the start: 0 and 1
            x = x / np.sqrt(1 + 1e-5)
        x = np.maximum(x, 0)
        if layer == 0:
            x = x.reshape(3, 4, 2, 2, 2, -1).max((2, 4))
    hidden = np.maximum(x.mean((1, 2)) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    return hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"], hidden


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_equals_loops_in_float64(norm: Any) -> None:
    net = CNN(WIDTHS, hidden=5, classes=3, norm=norm)
    variables = init(net, jax.random.key(0), X)
    # Biases start at 0: give them a part to play.
    shaken = jax.tree.map(
        lambda x: x + 0.1 if x.ndim == 1 and norm == "none" else x, variables["params"]
    )
    variables = {**variables, "params": shaken}
    logits, hidden = textbook(variables["params"], norm)
    run = jax.jit(lambda v, x: (net.apply(v, x), net.apply(v, x, features=True)))
    found, features = run(variables, X)
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features, hidden, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_batch_statistics_change_in_training_alone() -> None:
    net = CNN(WIDTHS, hidden=5, classes=3, norm="batch")
    variables = init(net, jax.random.key(0), X)
    _, after = apply(net, variables, X, train=False, mutable="batch_stats")
    jax.tree.map(np.testing.assert_array_equal, after["batch_stats"], variables["batch_stats"])
    _, after = apply(net, variables, X, train=True, mutable="batch_stats")
    first = convolved(X.astype(np.float64), in_float64(variables["params"])["Conv_0"]["kernel"])
    stats = after["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], 0.1 * first.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * first.var((0, 1, 2)), rtol=1e-4)


def test_the_experiments_default_has_fewer_than_100_thousand_parameters() -> None:
    c = Config()
    net = CNN(c.widths, c.hidden, classes=10, norm=c.norm, dropout=c.dropout)
    shape = jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1))))["params"]
    assert sum(x.size for x in jax.tree.leaves(shape)) < 100_000


@pytest.mark.slow
def test_flat_readout_sees_every_place_of_the_image() -> None:
    net = CNN(WIDTHS, hidden=5, classes=3, readout="flat")
    params = init(net, jax.random.key(0), X)["params"]
    p, x = in_float64(params), X.astype(np.float64)
    assert p["Dense_0"]["kernel"].shape == (4 * 2 * 4, 5)
    first = (
        np.maximum(convolved(x, p["Conv_0"]["kernel"]) + p["Conv_0"]["bias"], 0)
        .reshape(3, 4, 2, 2, 2, -1)
        .max((2, 4))
    )
    second = np.maximum(convolved(first, p["Conv_1"]["kernel"]) + p["Conv_1"]["bias"], 0)
    hidden = np.maximum(second.reshape(3, -1) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    found = apply(net, {"params": params}, X, features=True)
    np.testing.assert_allclose(found, hidden, rtol=1e-4, atol=1e-5)
