"""With float64 switched on: parameters stay float32 unless somebody casts them, and index types do
not mix. Traced, not compiled.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models import char_rnn, gpt, gpt_generation, rnn
from dlcore.models.beam import beam_search
from tests.models.nets import NETS, SIZE, TOKENS, TRANSLATORS


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def shapes(net: Any, *x: np.ndarray) -> Any:
    """The variables that a network begins with, as shapes and types."""
    return jax.eval_shape(net.init, jax.random.key(0), *x)


def types(tree: Any) -> set[np.dtype]:
    """The types of a tree's floating leaves."""
    return {
        np.dtype(x.dtype) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)
    }


def cast(tree: Any, dtype: Any) -> Any:
    """Shapes with floating leaves of another type."""
    as_type = lambda x: dtype if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype  # noqa: E731
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, as_type(x)), tree)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_network_has_one_float_type(name: str) -> None:
    """float32 as it begins, and of its outputs; float64 all through where parameters and inputs
    are.
    """
    net, x = NETS[name]
    variables = shapes(net, *x)
    assert types(variables) == {np.dtype(np.float32)}
    assert types(jax.eval_shape(net.apply, variables, *x)) == {np.dtype(np.float32)}
    in_float64 = cast(variables, jnp.float64), *cast(x, jnp.float64)
    assert types(jax.eval_shape(net.apply, *in_float64)) == {np.dtype(np.float64)}


@pytest.mark.slow
@pytest.mark.quick
@pytest.mark.parametrize(
    ("dtype", "index"),
    [
        (np.float32, np.int64),
        pytest.param(np.float32, np.int32, marks=pytest.mark.nightly),
        pytest.param(np.float64, np.int32, marks=pytest.mark.nightly),
        (np.float64, np.int64),
    ],
)
def test_searches_and_generation_mix_no_index_types(index: Any, dtype: Any) -> None:
    def zeros(net: Any, *x: Any) -> Any:
        return jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), cast(shapes(net, *x)["params"], dtype)
        )

    prompt, key = TOKENS[:, :2].astype(index), jax.random.key(0)
    params = zeros(gpt.GPT(SIZE), TOKENS)
    for draft in (0, 2):
        how = (17, 0.8, 0, 1.0, draft)
        made = functools.partial(gpt_generation.generate, SIZE, params, prompt, key, *how)
        text = jax.eval_shape(made)
        assert (text.shape, text.dtype) == ((2, 19), index)
    found = {"gpt": jax.eval_shape(lambda: gpt_generation.likeliest(SIZE, params, prompt, 4, 3, 0))}
    net = char_rnn.CharRNN(rnn.RNN("lstm", 4), 7)
    text = jax.eval_shape(lambda: char_rnn.generate(net, zeros(net, TOKENS), prompt, key, 5))
    assert (text.shape, text.dtype) == ((2, 7), index)
    for name, (module, net, size) in TRANSLATORS.items():

        def search(module: Any = module, net: Any = net, size: Any = size) -> Any:
            step, state = module.begin(
                size, zeros(net(size), *(TOKENS,) * 4), prompt, prompt != 0, 3, 4
            )
            return beam_search(step, state, prompt[:, 0], beams=3, length=4, end=0)

        found[name] = jax.eval_shape(search)
    for name, (tokens, scores) in found.items():
        assert (tokens.shape, tokens.dtype, scores.shape, scores.dtype) == (
            (2, 3, 4),
            np.int32,
            (2, 3),
            dtype,
        ), name
