"""Windows, soft caps, scaled positions, padding: the same with a cache, and as a text alone."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.packing import pack
from dlcore.kernels.rotary_scaling import Rope
from dlcore.models.apply import infer
from dlcore.models.gpt import GPT, Size, empty_cache
from tests.models.compiled import apply
from tests.models.test_gpt import LEARNED, MODERN, ROTARY, TOKENS, forward, params

pytestmark = pytest.mark.slow

WINDOW = dataclasses.replace(MODERN, window=3)
CAPPED = dataclasses.replace(LEARNED, softcap=0.5, logit_softcap=2.0)
SCALED = dataclasses.replace(ROTARY, rope=Rope(base=50.0, fraction=0.5, scaling="ntk", factor=2.0))
SHARED = dataclasses.replace(MODERN, heads=4, kv_heads=2, width=16)
SIZES = [
    pytest.param(size, id=name)
    for name, size in (
        ("window", WINDOW),
        ("capped", CAPPED),
        ("scaled", SCALED),
        ("shared", SHARED),
    )
]


@pytest.mark.parametrize("size", SIZES)
def test_token_by_token_with_a_cache_equals_all_at_once(size: Size) -> None:
    run = jax.jit(functools.partial(GPT(size).apply, {"params": params(size)}))
    cache, found = empty_cache(size, 2, jnp.float32), []
    for start, stop in ((0, 3), (3, 5), (5, 6), (6, 7), (7, 8)):
        logits, cache = run(TOKENS[:, start:stop], cache=cache, position=start)
        found.append(logits)
    np.testing.assert_allclose(
        jnp.concatenate(found, 1), forward(size, params(size), TOKENS), rtol=1e-4, atol=1e-4
    )


def test_every_option_changes_the_logits() -> None:
    for size, plain in ((WINDOW, MODERN), (CAPPED, LEARNED), (SCALED, ROTARY)):
        tree = params(plain)
        assert np.abs(forward(size, tree, TOKENS) - forward(plain, tree, TOKENS)).max() > 0.1
    assert np.abs(forward(CAPPED, params(CAPPED), TOKENS)).max() <= 2


def test_a_window_sees_its_tokens_and_no_token_before() -> None:
    size = dataclasses.replace(WINDOW, layers=1)
    changed = TOKENS.copy()
    changed[:, 2] = (changed[:, 2] + 1) % 11
    same = forward(size, params(size), TOKENS) == forward(size, params(size), changed)
    np.testing.assert_array_equal(same.all((0, 2)), [i not in (2, 3, 4) for i in range(8)])


def test_a_window_and_soft_caps_below_0_are_refused() -> None:
    for wrong in ({"window": -1}, {"softcap": -0.5}, {"logit_softcap": -1.0}):
        with pytest.raises(ValueError, match="a window and soft caps are at least 0"):
            dataclasses.replace(LEARNED, **wrong)


PADDED = [LEARNED, WINDOW, CAPPED, SCALED, SHARED, dataclasses.replace(MODERN, scan=True)]


@pytest.mark.parametrize(
    "size", PADDED, ids=["learned", "window", "capped", "scaled", "shared", "scan"]
)
def test_a_padded_row_has_the_logits_that_it_has_alone(size: Size) -> None:
    padding = np.array([0, 3])
    rows = np.where(np.arange(8) < padding[:, None], 7, TOKENS)
    found = apply(GPT(size), {"params": params(size)}, rows, padding=padding)
    np.testing.assert_allclose(found[0], forward(size, params(size), TOKENS[:1])[0], atol=1e-4)
    alone = forward(size, params(size), TOKENS[1:, 3:])[0]
    np.testing.assert_allclose(found[1, 3:], alone, rtol=1e-4, atol=1e-4)
    assert np.isfinite(np.asarray(found)).all()


@pytest.mark.parametrize("size", [WINDOW, SHARED], ids=["window", "shared"])
def test_packed_documents_have_the_logits_that_they_have_alone(size: Size) -> None:
    rows: dict[str, Any] = pack([TOKENS[0, :5], TOKENS[1, :4]], 8)
    packed = apply(
        GPT(size),
        {"params": params(size)},
        rows["tokens"],
        segment=rows["segment"],
        position=rows["position"],
    )
    first = forward(size, params(size), TOKENS[:1, :4])[0]
    np.testing.assert_allclose(packed[0, :4], first, rtol=1e-4, atol=1e-4)
    second = forward(size, params(size), TOKENS[1:, :3])[0]
    np.testing.assert_allclose(packed[0, 4:7], second, rtol=1e-4, atol=1e-4)


def test_a_step_of_decoding_holds_no_repeated_keys() -> None:
    size = Size(7, 23, 1, 6, 24, rotary=True, kv_heads=2)
    net = GPT(size)
    tokens = jax.ShapeDtypeStruct((2, 1), jnp.int32)
    tree = jax.eval_shape(net.init, jax.random.key(0), tokens)["params"]
    cache = jax.eval_shape(lambda: empty_cache(size, 2, jnp.float32))

    def largest(keys: Any) -> int:
        """Elements of the largest tensor with a dimension of the context, before any fusion."""

        def step(tree: Any, cache: Any, tokens: Any) -> Any:
            logits, after = infer(net, tree, tokens, cache=cache, position=jnp.asarray(5))
            return logits, keys(after)

        text = jax.jit(step).lower(tree, cache, tokens).as_text()
        shapes = [[*map(int, s.split("x"))] for s in re.findall(r"tensor<([\dx]+)x[a-z]\w+>", text)]
        return max(math.prod(shape) for shape in shapes if size.context in shape)

    assert largest(lambda cache: cache) == 2 * 2 * 23 * 4
    repeated = largest(lambda cache: jax.tree.map(lambda x: jnp.repeat(x, 3, 1), cache))
    assert repeated == 2 * 6 * 23 * 4


def test_a_window_of_a_long_text_takes_memory_linear_in_its_length() -> None:
    size = Size(7, 1024, 1, 4, 16, rotary=True, window=5)
    tokens = np.random.default_rng(0).integers(0, 7, (1, 1024))
    tree = params(size)

    def run(tree: Any, tokens: Any) -> Any:
        return GPT(size).apply({"params": tree}, tokens)

    gradient = jax.grad(lambda tree, tokens: run(tree, tokens).sum())
    compiled = jax.jit(gradient).lower(tree, tokens).compile()
    # one float32 array of the scores of all heads would be as large
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 4 * 1024**2
    cache = empty_cache(size, 1, jnp.float32)
    expected, _ = infer(GPT(size), tree, tokens, cache=cache)  # all scores at once
    np.testing.assert_allclose(jax.jit(run)(tree, tokens), expected, rtol=1e-4, atol=1e-4)
