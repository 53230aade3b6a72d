"""A GPT whose layers are one compiled loop: the same network, its parameters stacked."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import sharding
from dlcore.models.gpt import GPT, TENSOR, Size, empty_cache, unstacked
from dlcore.models.gpt_generation import generate, likeliest
from dlcore.train import optim
from tests.models.test_gpt import GPT2, LEARNED, MODERN, TOKENS, forward, params, textbook

pytestmark = pytest.mark.slow

SIZES = [
    pytest.param(dataclasses.replace(s, scan=True), id=n)
    for n, s in (("learned", LEARNED), ("modern", MODERN), ("gpt2", GPT2))
]


@pytest.mark.parametrize("size", SIZES)
def test_stacked_layers_equal_the_textbook(size: Size) -> None:
    tree = params(size)
    assert {x.shape[0] for x in jax.tree.leaves(tree["blocks"])} == {size.layers}
    single, apart = unstacked(size, tree)
    assert not single.scan
    assert jax.tree.map(jnp.shape, apart) == jax.tree.map(jnp.shape, params(single))
    expected = textbook(single, apart, TOKENS)
    np.testing.assert_allclose(
        forward(size, tree, TOKENS), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )
    assert unstacked(single, apart) == (single, apart)


@pytest.mark.parametrize("remat", [False, True])
def test_their_gradients_are_those_of_single_layers(remat: bool) -> None:
    size = dataclasses.replace(MODERN, scan=True, remat=remat)
    tree = params(dataclasses.replace(size, remat=False))

    def grads(size: Size, tree: Any) -> Any:
        return jax.jit(
            jax.grad(lambda tree: jnp.sin(GPT(size).apply({"params": tree}, TOKENS)).sum())
        )(tree)  # type: ignore[arg-type]

    found = unstacked(size, grads(size, tree))[1]
    expected = grads(*unstacked(dataclasses.replace(size, remat=False), tree))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), found, expected
    )


@pytest.mark.nightly
def test_a_stacked_network_writes_what_its_layers_write() -> None:
    size, prompt = dataclasses.replace(MODERN, scan=True), jnp.asarray(TOKENS[:, :3])
    single, apart = unstacked(size, params(size))
    for temperature, length in ((0.0, 9), (1.0, 4)):
        found = generate(size, params(size), prompt, jax.random.key(1), length, temperature)
        np.testing.assert_array_equal(
            found, generate(single, apart, prompt, jax.random.key(1), length, temperature)
        )
    best, expected = (
        likeliest(s, p, prompt, 4, 2, 0) for s, p in ((size, params(size)), (single, apart))
    )
    np.testing.assert_array_equal(best[0], expected[0])
    with pytest.raises(ValueError, match="stacked layers have no cache"):
        GPT(size).apply({"params": params(size)}, prompt, cache=())
    cache = empty_cache(single, 2, jnp.float32)
    with pytest.raises(ValueError, match="a cache holds one document"):
        GPT(single).apply({"params": apart}, prompt, cache=cache, segment=prompt)


@pytest.mark.nightly
def test_each_layer_has_its_own_beginning_and_its_own_dropout() -> None:
    size = Size(vocabulary=64, context=8, layers=6, heads=4, width=64, dropout=0.4, scan=True)
    tree = jax.jit(GPT(size).init)(jax.random.key(0), jnp.zeros((1, 8), jnp.int32))["params"]
    kernel = np.asarray(tree["blocks"]["out"]["kernel"])
    assert len(np.unique(kernel[:, 0, 0])) == size.layers
    assert float(kernel.std()) == pytest.approx(0.02 / 12**0.5, rel=0.05)

    # Blocks that add a number, which depends on the first feature, to all, but for dropout:
    # what comes out is as many layers' masks, summed. (The sum of all normalised features would be
    # rounding errors alone.)
    ones = jax.tree.map(jnp.zeros_like, tree["blocks"]) | {
        "down": {"kernel": jnp.ones_like(tree["blocks"]["down"]["kernel"])}
    }
    ones["up"] = {"kernel": jnp.zeros_like(tree["blocks"]["up"]["kernel"]).at[:, 0].set(1.0)}
    ones["norm_mlp"] = {"scale": jnp.ones_like(tree["blocks"]["norm_mlp"]["scale"])}
    run = jax.jit(
        lambda t, row: GPT(size).apply(
            {"params": {**tree, "blocks": ones}}, t, train=True, row=row, rngs=keys
        )
    )
    keys, tokens = {"dropout": jax.random.key(3)}, np.random.default_rng(1).integers(0, 64, (6, 8))
    whole = np.asarray(run(tokens, np.arange(6)))
    for part in (np.array([0, 2, 4]), np.array([3])):
        np.testing.assert_allclose(run(tokens[part], part), whole[part], rtol=1e-3, atol=1e-4)


@pytest.mark.nightly
def test_biases_and_scales_of_stacked_layers_do_not_decay() -> None:
    size = dataclasses.replace(GPT2, scan=True)
    single, apart = unstacked(size, params(size))
    stacked = optim.matrices(params(size))
    expected = optim.matrices(params(single))
    layers = {f"block_{i}": stacked["blocks"] for i in range(size.layers)}
    assert {**{k: v for k, v in stacked.items() if k != "blocks"}, **layers} == expected
    assert stacked["blocks"]["qkv"] == {"kernel": True, "bias": False}
    decayed = optim.make("adamw", 0.1, weight_decay=0.5)
    for tree in (params(size), apart):
        updates, _ = decayed.update(jax.tree.map(jnp.zeros_like, tree), decayed.init(tree), tree)
        moved = jax.tree.map(lambda u: bool(jnp.abs(u).max() > 0), updates)
        assert moved == optim.matrices(tree)


def test_stacked_layers_are_split_as_single_ones_are(devices: list[jax.Device]) -> None:
    size = dataclasses.replace(MODERN, width=16, heads=4, kv_heads=4, biases=True, scan=True)
    layout = sharding.layout("jit", "fsdp=2,tensor=4", devices)
    tree = params(size)
    shardings = sharding.sharding(layout, {"params": tree}, TENSOR)["params"]
    apart = sharding.sharding(layout, {"params": unstacked(size, tree)[1]}, TENSOR)["params"]

    def parts(shardings: Any, tree: Any, skip: int) -> Any:
        return jax.tree.map(lambda s, x: s.shard_shape(x.shape)[skip:], shardings, tree)

    found = parts(shardings["blocks"], tree["blocks"], 1)
    assert found == parts(apart["block_0"], unstacked(size, tree)[1]["block_0"], 0)
    whole = jax.tree.map(
        lambda s, x: s.shard_shape(x.shape)[0], shardings["blocks"], tree["blocks"]
    )
    assert set(jax.tree.leaves(whole)) == {size.layers}, "no device misses a layer"
