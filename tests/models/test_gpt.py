"""GPT: equal to the textbook in float64, causal to the bit, and the same with a cache, with rematerialisation, in parts."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.gpt import GPT, Size, empty_cache
from tests.kernels import test_activations, test_attention, test_norm

LEARNED = Size(vocabulary=11, context=8, layers=2, heads=2, width=8)
ROTARY = dataclasses.replace(LEARNED, rotary=True)
SIZES = [pytest.param(LEARNED, id="learned"), pytest.param(ROTARY, id="rotary")]
TOKENS = np.random.default_rng(0).integers(0, 11, (2, 8))


@functools.cache
def params(size: Size, seed: int = 0) -> Any:
    """Parameters large enough that every part matters: at initialisation a GPT hardly listens to its attention."""
    shape = jax.eval_shape(lambda: GPT(size).init(jax.random.key(0), jnp.zeros((1, size.context), jnp.int32)))["params"]
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(generator.standard_normal(x.shape) * 0.6 + (x.ndim == 1), jnp.float32), shape)


def textbook(size: Size, tree: Any, tokens: np.ndarray) -> np.ndarray:
    """One forward pass in float64, from the formulas."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), tree)

    def norm(x: np.ndarray, part: Any) -> np.ndarray:
        return test_norm.reference(x, part["scale"], np.zeros(size.width))

    x = p["embed"]["embedding"][tokens]
    if not size.rotary:
        x = x + p["positions"][: tokens.shape[1]]
    for layer in range(size.layers):
        block = p[f"block_{layer}"]
        qkv = norm(x, block["norm_attention"]) @ block["qkv"]["kernel"]
        q, k, v = (part.reshape(*tokens.shape, size.heads, -1).swapaxes(1, 2) for part in np.split(qkv, 3, -1))
        if size.rotary:
            q, k = (test_attention.turned(t, np.arange(tokens.shape[1])) for t in (q, k))
        seen = test_attention.reference(q, k, v).swapaxes(1, 2).reshape(x.shape)
        x = x + seen @ block["out"]["kernel"]
        hidden = test_activations.reference(norm(x, block["norm_mlp"]) @ block["up"]["kernel"])
        x = x + hidden @ block["down"]["kernel"]
    return norm(x, p["norm"]) @ p["embed"]["embedding"].T


@functools.partial(jax.jit, static_argnums=0)
def forward(size: Size, tree: Any, tokens: Any) -> jax.Array:
    """The module, in evaluation."""
    return GPT(size).apply({"params": tree}, tokens)


@pytest.mark.parametrize("size", SIZES)
def test_forward_pass_equals_the_textbook(size: Size) -> None:
    expected = textbook(size, params(size), TOKENS)
    np.testing.assert_allclose(forward(size, params(size), TOKENS), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params(size))
        np.testing.assert_allclose(forward(size, wide, TOKENS), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_a_logit_has_exactly_no_gradient_to_later_tokens(size: Size) -> None:
    @jax.jit
    def slope(nudge: jax.Array, t: jax.Array) -> jax.Array:
        def nudged(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            embeds = isinstance(context.module, nn.Embed) and context.method_name == "__call__"
            return call(*args, **kwargs) + nudge if embeds else call(*args, **kwargs)

        with nn.intercept_methods(nudged):
            return jnp.sin(GPT(size).apply({"params": params(size)}, TOKENS)[:, t]).sum()

    for t in range(8):
        grad = np.asarray(jax.grad(slope)(jnp.zeros((2, 8, size.width)), jnp.asarray(t)))
        np.testing.assert_array_equal(grad[:, t + 1 :], 0)
        assert (np.abs(grad[:, : t + 1]).max(-1) > 0).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("prompt", [1, 3])
def test_token_by_token_with_a_cache_equals_all_at_once(size: Size, prompt: int) -> None:
    whole = forward(size, params(size), TOKENS)
    run = jax.jit(
        lambda tokens, cache, position: GPT(size).apply({"params": params(size)}, tokens, cache=cache, position=position)
    )
    logits, cache = run(TOKENS[:, :prompt], empty_cache(size, 2, jnp.float32), jnp.asarray(0))
    found = [logits]
    for i in range(prompt, 8):
        logits, cache = run(TOKENS[:, i : i + 1], cache, jnp.asarray(i))
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, 1), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_rematerialisation_gives_the_same_gradients(size: Size) -> None:
    def grads(size: Size) -> Any:
        loss = lambda tree: jnp.sin(GPT(size).apply({"params": tree}, TOKENS)).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(params(LEARNED if not size.rotary else ROTARY))

    plain, again = grads(size), grads(dataclasses.replace(size, remat=True))
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), again, plain)


def test_dropout_is_the_same_for_any_split_of_the_batch() -> None:
    size = dataclasses.replace(LEARNED, dropout=0.3)

    def run(rows: np.ndarray) -> np.ndarray:
        key, rows = {"dropout": jax.random.key(3)}, np.asarray(rows, np.int32)
        tokens = np.random.default_rng(1).integers(0, 11, (6, 8))[rows]
        return np.asarray(
            jax.jit(lambda t, r: GPT(size).apply({"params": params(LEARNED)}, t, train=True, row=r, rngs=key))(tokens, rows)
        )

    whole = run(np.arange(6))
    for part in (np.array([0, 2, 4]), np.array([3])):
        np.testing.assert_allclose(run(part), whole[part], rtol=1e-4, atol=1e-4)
    assert np.abs(whole - np.asarray(forward(LEARNED, params(LEARNED), TOKENS))[:1]).max() > 0.1


def test_dropout_is_off_in_evaluation() -> None:
    net = GPT(dataclasses.replace(LEARNED, dropout=0.3))
    found = jax.jit(lambda: net.apply({"params": params(LEARNED)}, TOKENS, row=jnp.arange(2)))()  # no key for dropout is given
    np.testing.assert_allclose(found, forward(LEARNED, params(LEARNED), TOKENS), rtol=1e-4, atol=1e-4)


def count(size: Size) -> int:
    """How many parameters a GPT of this size has."""
    shape = jax.eval_shape(lambda: GPT(size).init(jax.random.key(0), jnp.zeros((1, size.context), jnp.int32)))["params"]
    return sum(x.size for x in jax.tree.leaves(shape))


def test_nanogpts_cpu_recipe_has_its_number_of_parameters() -> None:
    """4 layers of width 128 over 65 characters and 64 places, without biases, the output matrix tied to the embedding."""
    size = Size(vocabulary=65, context=64, layers=4, heads=4, width=128)
    assert count(size) == 804_096
    assert count(size) - count(dataclasses.replace(size, rotary=True)) == 64 * 128


def test_initialisation_is_that_of_gpt2() -> None:
    size = Size(vocabulary=64, context=64, layers=8, heads=4, width=64)
    tree = jax.jit(GPT(size).init)(jax.random.key(0), jnp.zeros((1, 64), jnp.int32))["params"]
    spread = lambda x: float(np.std(x))  # noqa: E731
    assert spread(tree["embed"]["embedding"]) == pytest.approx(0.02, rel=0.05)
    assert spread(tree["block_3"]["qkv"]["kernel"]) == pytest.approx(0.02, rel=0.05)
    for part in ("out", "down"):  # what is added to the residual stream 2 x 8 times
        assert spread(tree["block_3"][part]["kernel"]) == pytest.approx(0.02 / 4, rel=0.05)
    assert not (tree["block_3"]["up"]["kernel"] == tree["block_4"]["up"]["kernel"]).any()


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        dataclasses.replace(LEARNED, heads=3)
