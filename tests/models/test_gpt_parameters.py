"""The parameters of a GPT: their number, initial values and tensor rules."""

from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.gpt import GPT, TENSOR, Size
from tests.models.test_gpt import GPT2, LEARNED, MODERN, params

pytestmark = pytest.mark.slow


def test_tensor_rules_cover_every_large_parameter_of_every_option() -> None:
    """Every matrix of a block and every bias that goes with a split output lies along `tensor`;
    nothing else does.
    """
    for size in (LEARNED, MODERN, GPT2, dataclasses.replace(MODERN, biases=True)):
        split = {}
        for path, x in jax.tree_util.tree_leaves_with_path(params(size)):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            split[name] = [
                axes for pattern, axes in TENSOR if len(axes) == x.ndim and re.search(pattern, name)
            ]
        for name, axes in split.items():
            part, leaf = name.split("/")[-2:] if "/" in name else ("", name)
            along = {
                "qkv": (None, "tensor"),
                "up": (None, "tensor"),
                "gate": (None, "tensor"),
                "embed": ("tensor", None),
            }.get(part)
            along = ("tensor", None) if part in ("out", "down") else along
            along = (
                None if leaf == "scale" or (leaf == "bias" and along != (None, "tensor")) else along
            )
            assert axes == ([] if along is None else [along[-1:] if leaf == "bias" else along]), (
                name
            )
        assert any("gate" in name for name in split) == (size.mlp == "swiglu")


def count(size: Size) -> int:
    """How many parameters a GPT of this size has."""
    shape = jax.eval_shape(
        lambda: GPT(size).init(jax.random.key(0), jnp.zeros((1, size.context), jnp.int32))
    )["params"]
    return sum(x.size for x in jax.tree.leaves(shape))


def test_nanogpts_cpu_recipe_has_its_number_of_parameters() -> None:
    """4 layers of width 128 over 65 characters and 64 places, without biases, the output matrix
    tied to the embedding.
    """
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


def test_a_gated_unit_has_the_parameters_of_a_plain_one_and_shared_keys_have_fewer() -> None:
    plain = Size(vocabulary=64, context=64, layers=2, heads=6, width=192, rotary=True)
    gated, shared = dataclasses.replace(plain, mlp="swiglu"), dataclasses.replace(plain, kv_heads=2)
    assert count(gated) == count(plain)
    assert count(plain) - count(shared) == 2 * 192 * 2 * (4 * 32)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        dataclasses.replace(LEARNED, heads=3)
    for kv_heads in (3, -1, 4):
        with pytest.raises(
            ValueError, match=f"{kv_heads} heads of keys and values cannot be shared by 2 heads"
        ):
            dataclasses.replace(LEARNED, kv_heads=kv_heads)
