"""Layers that several families share: dropout by row, and batch statistics that know no devices."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.models.layers import BatchNorm, Dropout, LayerNorm

X = (
    np.random.default_rng(0).standard_normal((8, 2, 2, 3)).astype(np.float32)
    * np.array([1, 2, 3], np.float32)
    + 5
)


class Two(nn.Module):
    """Two dropouts, one after the other."""

    @nn.compact
    def __call__(self, x: jax.Array, row: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        return Dropout(0.5)(x, row), Dropout(0.5)(x, row)


class Normed(nn.Module):
    """Batch normalisation alone."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return BatchNorm()(x, train)


@pytest.mark.slow
def test_two_dropouts_of_one_network_draw_different_masks() -> None:
    x = jnp.ones((4, 50))
    one, other = Two().apply({}, x, jnp.arange(4), rngs={"dropout": jax.random.key(0)})
    assert 0.3 < np.mean(np.asarray(one) == np.asarray(other)) < 0.7
    again, _ = Two().apply({}, x, jnp.arange(4), rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(one, again)


def test_without_rows_dropout_is_the_identity_and_needs_no_key() -> None:
    x = jnp.ones((4, 50))
    for y in Two().apply({}, x, None):
        np.testing.assert_array_equal(y, x)


def _initial() -> Any:
    return Normed().init(jax.random.key(0), X, False)


def _run(variables: Any, x: jax.Array) -> tuple[jax.Array, Any]:
    return Normed().apply(variables, x, True, mutable=["batch_stats"])


@pytest.mark.slow
def test_statistics_and_running_average_are_those_of_the_formula() -> None:
    y, changed = _run(_initial(), X)
    mean, var = X.mean((0, 1, 2), dtype=np.float64), X.var((0, 1, 2), dtype=np.float64)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    stats = changed["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], 0.9 * 0 + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 * 1 + 0.1 * var, rtol=1e-5)


def test_evaluation_uses_the_running_average() -> None:
    variables = {
        **_initial(),
        "batch_stats": {
            "BatchNorm_0": {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([4.0, 9.0, 16.0])}
        },
    }
    y = Normed().apply(variables, X, False)
    np.testing.assert_allclose(y, (X - [1, 2, 3]) / [2, 3, 4], rtol=1e-5, atol=1e-5)


def test_evaluation_in_bfloat16_returns_bfloat16() -> None:
    x = jnp.asarray(X, jnp.bfloat16)
    assert Normed().apply(_initial(), x, False).dtype == x.dtype


@pytest.mark.slow
def test_evaluation_in_float64_is_exact_also_with_an_average_kept_in_float32() -> None:
    with jax.enable_x64(True):
        mean, var = np.array([[1.1, 2.2, 3.3], [0.4, 0.9, 1.6]], np.float32)
        variables = jax.tree.map(lambda p: p.astype(np.float64), _initial()) | {
            "batch_stats": {"BatchNorm_0": {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}}
        }
        expected = (X - mean.astype(np.float64)) / np.sqrt(var.astype(np.float64) + 1e-5)
        y = Normed().apply(variables, np.asarray(X, np.float64), False)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_statistics_are_those_of_the_global_batch_on_four_devices(
    devices: list[jax.Device],
) -> None:
    layout = sharding.layout("shard_map", "data=4", devices[:4])
    variables = _initial()
    expected, stats = jax.jit(_run)(variables, X)

    mapped = jax.shard_map(
        _run,
        mesh=layout.mesh,
        in_specs=(P(), sharding.BATCH),
        out_specs=(sharding.BATCH, P()),
        check_vma=False,
    )
    split = jax.jit(mapped)(variables, jax.device_put(X, layout.rows))
    jax.block_until_ready(split)
    pmapped = jax.pmap(
        _run, axis_name="data", in_axes=(None, 0), out_axes=(0, None), devices=devices[:4]
    )(variables, X.reshape(4, 2, 2, 2, 3))
    jax.block_until_ready(pmapped)
    for y, found in (split, pmapped):
        np.testing.assert_allclose(np.asarray(y).reshape(X.shape), expected, rtol=1e-5, atol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5), found, stats
        )


@pytest.mark.slow
def test_layer_norm_is_the_kernel_with_parameters_of_its_own() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
    variables = LayerNorm().init(jax.random.key(0), x)
    np.testing.assert_allclose(LayerNorm().apply(variables, x).var(-1), 1, rtol=1e-3)
    scale, bias = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
    own = {
        "params": {"scale": jnp.asarray(scale, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    }
    in_float64 = x.astype(np.float64)
    normal = (in_float64 - in_float64.mean(-1, keepdims=True)) / np.sqrt(
        in_float64.var(-1, keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(
        LayerNorm().apply(own, x), normal * scale + bias, rtol=1e-4, atol=1e-5
    )
