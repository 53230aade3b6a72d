"""GPT: equal to the textbook in float64, causal to the bit, and the same with a cache, with
rematerialisation, in parts.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.packing import pack
from dlcore.models.gpt import GPT, Size, empty_cache
from tests.kernels import test_activations, test_attention, test_norm
from tests.models.compiled import apply

pytestmark = pytest.mark.slow

LEARNED = Size(vocabulary=11, context=8, layers=2, heads=2, width=8)
ROTARY = dataclasses.replace(LEARNED, rotary=True)
MODERN = dataclasses.replace(ROTARY, kv_heads=1, norm="rms", mlp="swiglu")
GPT2 = dataclasses.replace(LEARNED, biases=True)
SIZES = [
    pytest.param(size, id=name)
    for name, size in (("learned", LEARNED), ("rotary", ROTARY), ("modern", MODERN), ("gpt2", GPT2))
]
TOKENS = np.random.default_rng(0).integers(0, 11, (2, 8))


@functools.cache
def drawn(size: Size, seed: int) -> Any:
    """NumPy arrays: what JAX makes while a function is traced would be a tracer, and must not be
    kept.
    """
    shape = jax.eval_shape(
        lambda: GPT(size).init(jax.random.key(0), jnp.zeros((1, size.context), jnp.int32))
    )["params"]
    generator = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: np.asarray(generator.standard_normal(x.shape) * 0.6 + (x.ndim == 1), np.float32),
        shape,
    )


def params(size: Size, seed: int = 0) -> Any:
    """Parameters large enough that every part matters: at initialisation attention adds little to
    the residual stream of a GPT.
    """
    return jax.tree.map(jnp.asarray, drawn(size, seed))


def textbook(size: Size, tree: Any, tokens: np.ndarray) -> np.ndarray:
    """One forward pass in float64, from the formulas."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), tree)

    def norm(x: np.ndarray, part: Any) -> np.ndarray:
        if size.norm == "rms":
            return test_norm.by_rms(x, part["scale"])
        return test_norm.reference(x, part["scale"], part.get("bias", np.zeros(size.width)))

    def dense(x: np.ndarray, part: Any) -> np.ndarray:
        return x @ part["kernel"] + part.get("bias", 0)

    x = p["embed"]["embedding"][tokens]
    if not size.rotary:
        x = x + p["positions"][: tokens.shape[1]]
    for layer in range(size.layers):
        block = p[f"block_{layer}"]
        qkv, keys = (
            dense(norm(x, block["norm_attention"]), block["qkv"]),
            size.kv_heads or size.heads,
        )
        d = size.width // size.heads
        parts = np.split(qkv, (size.heads * d, (size.heads + keys) * d), -1)
        q, k, v = (part.reshape(*tokens.shape, -1, d).swapaxes(1, 2) for part in parts)
        if size.rotary:
            q, k = (test_attention.turned(t, np.arange(tokens.shape[1])) for t in (q, k))
        # whose keys and values a head looks at
        shared = np.arange(size.heads) // (size.heads // keys)
        seen = (
            test_attention.reference(q, k[:, shared], v[:, shared]).swapaxes(1, 2).reshape(x.shape)
        )
        x = x + dense(seen, block["out"])
        normal = norm(x, block["norm_mlp"])
        hidden = dense(normal, block["up"])
        if size.mlp == "swiglu":
            gate = dense(normal, block["gate"])
            hidden = gate / (1 + np.exp(-gate)) * hidden
        else:
            hidden = test_activations.reference(hidden)
        x = x + dense(hidden, block["down"])
    return norm(x, p["norm"]) @ p["embed"]["embedding"].T


@functools.partial(jax.jit, static_argnums=0)
def forward(size: Size, tree: Any, tokens: Any) -> jax.Array:
    """The module, in evaluation."""
    return GPT(size).apply({"params": tree}, tokens)


@pytest.mark.parametrize("size", SIZES)
def test_forward_pass_equals_the_textbook(size: Size) -> None:
    expected = textbook(size, params(size), TOKENS)
    np.testing.assert_allclose(
        forward(size, params(size), TOKENS), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )
    with jax.enable_x64(True):
        in_float64 = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params(size))
        np.testing.assert_allclose(
            forward(size, in_float64, TOKENS), expected, rtol=1e-12, atol=1e-11
        )


@pytest.mark.parametrize("size", SIZES)
def test_a_logit_has_exactly_no_gradient_to_later_tokens(size: Size) -> None:
    tree = params(size)  # not below, where they would be drawn through what nudges the first block

    @jax.jit
    def slope(nudge: jax.Array, t: jax.Array) -> jax.Array:
        def nudged(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            first = context.module.name == "block_0" and context.method_name == "__call__"
            return call(args[0] + nudge, *args[1:], **kwargs) if first else call(*args, **kwargs)

        with nn.intercept_methods(nudged):
            return jnp.sin(GPT(size).apply({"params": tree}, TOKENS)[:, t]).sum()

    for t in range(8):
        grad = np.asarray(jax.grad(slope)(jnp.zeros((2, 8, size.width)), jnp.asarray(t)))
        np.testing.assert_array_equal(grad[:, t + 1 :], 0)
        assert (np.abs(grad[:, : t + 1]).max(-1) > 0).all()


OPTIONS: dict[str, tuple[Any, ...]] = {
    "rotary": (False, True),
    "kv_heads": (0, 2, 1),
    "norm": ("layer", "rms"),
    "mlp": ("gelu", "swiglu"),
    "biases": (False, True),
}
# Every pair of values of two options is in one of these; the other combinations are nightly.
PAIRS = (
    (False, 0, "layer", "gelu", False),
    (True, 0, "rms", "swiglu", True),
    (False, 2, "rms", "swiglu", False),
    (True, 2, "layer", "gelu", True),
    (True, 1, "layer", "swiglu", False),
    (False, 1, "rms", "gelu", True),
)
COMBINATIONS = [
    pytest.param(
        dict(zip(OPTIONS, values, strict=True)),
        marks=[] if values in PAIRS else pytest.mark.nightly,
    )
    for values in itertools.product(*OPTIONS.values())
]


@pytest.mark.parametrize(
    "options", COMBINATIONS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_token_by_token_with_a_cache_equals_all_at_once(options: dict[str, Any]) -> None:
    size = Size(vocabulary=11, context=6, layers=1, heads=4, width=16, **options)
    run = functools.partial(apply, GPT(size), {"params": params(size)})
    cache, found = empty_cache(size, 2, jnp.float32), []
    assert cache[0][0].shape[1] == (options["kv_heads"] or 4)
    for start, stop in ((0, 3), (3, 5), (5, 6)):  # a prompt, several tokens at once, a single one
        logits, cache = run(TOKENS[:, start:stop], cache=cache, position=start)
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, 1), run(TOKENS[:, :6]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [MODERN, GPT2], ids=["modern", "gpt2"])
def test_packed_documents_have_the_logits_that_they_have_alone(size: Size) -> None:
    lengths = ((3, 5), (1, 4, 2))
    rows = pack([TOKENS[0, :8][: n + 1] for n in itertools.chain(*lengths)], 8)
    packed = jax.jit(functools.partial(GPT(size).apply, {"params": params(size)}))(
        rows["tokens"], segment=rows["segment"], position=rows["position"]
    )
    # all documents begin alike, and the past decides
    alone = np.asarray(forward(size, params(size), TOKENS[:1]))[0]
    np.testing.assert_array_equal(rows["weight"].sum(1), [8, 7])
    expected = alone[rows["position"]]
    inside = rows["weight"] > 0
    np.testing.assert_allclose(np.asarray(packed)[inside], expected[inside], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [LEARNED, MODERN], ids=["learned", "modern"])
def test_rematerialisation_gives_the_same_gradients(size: Size) -> None:
    def grads(size: Size) -> Any:
        loss = lambda tree: jnp.sin(GPT(size).apply({"params": tree}, TOKENS)).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(params(dataclasses.replace(size, remat=False)))

    plain, again = grads(size), grads(dataclasses.replace(size, remat=True))
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), again, plain)


def test_dropout_is_the_same_for_any_split_of_the_batch() -> None:
    size = dataclasses.replace(LEARNED, dropout=0.3)

    def run(rows: np.ndarray) -> np.ndarray:
        key, rows = {"dropout": jax.random.key(3)}, np.asarray(rows, np.int32)
        tokens = np.random.default_rng(1).integers(0, 11, (6, 8))[rows]
        return np.asarray(
            jax.jit(
                lambda t, r: GPT(size).apply(
                    {"params": params(LEARNED)}, t, train=True, row=r, rngs=key
                )
            )(tokens, rows)
        )

    whole = run(np.arange(6))
    for part in (np.array([0, 2, 4]), np.array([3])):
        np.testing.assert_allclose(run(part), whole[part], rtol=1e-4, atol=1e-4)
    assert np.abs(whole - np.asarray(forward(LEARNED, params(LEARNED), TOKENS))[:1]).max() > 0.1


def test_dropout_is_off_in_evaluation() -> None:
    net = GPT(dataclasses.replace(LEARNED, dropout=0.3))
    # no key for dropout is given
    found = jax.jit(lambda: net.apply({"params": params(LEARNED)}, TOKENS, row=jnp.arange(2)))()
    np.testing.assert_allclose(
        found, forward(LEARNED, params(LEARNED), TOKENS), rtol=1e-4, atol=1e-4
    )
