"""GPT-2's weights: read by their published names, and the same network as the published one,
written out in float64.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from dlcore.models import gpt2
from dlcore.models.gpt import GPT
from dlcore.models.gpt_generation import generate

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 23, 12, 2, 3, 24
TOKENS = np.random.default_rng(1).integers(0, VOCABULARY, (2, 9))


def published(prefix: str = "") -> dict[str, np.ndarray]:
    """Random tensors with the names and shapes of the published files."""
    generator = np.random.default_rng(0)
    shapes = {
        "wte.weight": (VOCABULARY, WIDTH),
        "wpe.weight": (CONTEXT, WIDTH),
        "ln_f.weight": (WIDTH,),
        "ln_f.bias": (WIDTH,),
    }
    for i in range(LAYERS):
        sizes = {"ln_1": WIDTH, "ln_2": WIDTH}
        shapes |= {
            f"h.{i}.{name}.{kind}": (n,) for name, n in sizes.items() for kind in ("weight", "bias")
        }
        for name, into, out in (
            ("attn.c_attn", WIDTH, 3 * WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", WIDTH, 4 * WIDTH),
            ("mlp.c_proj", 4 * WIDTH, WIDTH),
        ):
            shapes |= {f"h.{i}.{name}.weight": (into, out), f"h.{i}.{name}.bias": (out,)}
    return {
        prefix + name: generator.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def reference(tensors: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """GPT-2 as OpenAI's code computes it, in float64: logits [batch, length, vocabulary]."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def conv1d(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["wte.weight"][tokens] + w["wpe.weight"][: tokens.shape[1]]
    for i in range(LAYERS):
        q, k, v = np.split(conv1d(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn"), 3, -1)
        attended = np.zeros_like(x)
        for h in range(HEADS):
            own = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
            scores = q[..., own] @ k[..., own].swapaxes(1, 2) / np.sqrt(WIDTH // HEADS)
            scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
            e = np.exp(scores - scores.max(-1, keepdims=True))
            attended[..., own] = e / e.sum(-1, keepdims=True) @ v[..., own]
        x = x + conv1d(attended, f"h.{i}.attn.c_proj")
        u = conv1d(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        x = x + conv1d(
            0.5 * u * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3))), f"h.{i}.mlp.c_proj"
        )
    return norm(x, "ln_f") @ w["wte.weight"].T


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file as it is published."""
    save_file(published(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.slow
def test_logits_are_those_of_gpt2(file: Path) -> None:
    size, params = gpt2.load(file, HEADS)
    assert (size.vocabulary, size.context, size.layers, size.heads, size.width) == (
        VOCABULARY,
        CONTEXT,
        LAYERS,
        HEADS,
        WIDTH,
    )
    expected = reference(published(), TOKENS)
    found = jax.jit(functools.partial(GPT(size).apply, {"params": params}))(TOKENS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    with jax.enable_x64(True):
        in_float64 = jax.tree.map(lambda x: x.astype(np.float64), params)
        np.testing.assert_allclose(
            jax.jit(GPT(size).apply)({"params": in_float64}, TOKENS),
            expected,
            rtol=1e-10,
            atol=1e-10,
        )
    written = np.asarray(generate(size, params, TOKENS[:, :8], jax.random.key(0), 1, 0.0))
    np.testing.assert_array_equal(written[:, -1], expected[:, 7].argmax(-1))


def test_the_loaded_tree_is_what_the_module_makes(file: Path) -> None:
    size, params = gpt2.load(file, HEADS)
    made = jax.eval_shape(lambda: GPT(size).init(jax.random.key(0), TOKENS))["params"]
    assert jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype)), made) == jax.tree.map(
        lambda x: (x.shape, x.dtype), params
    )


def test_prefixes_masks_a_tied_head_and_half_precision_are_understood(
    tmp_path: Path, file: Path
) -> None:
    tensors = published("transformer.") | {"lm_head.weight": published()["wte.weight"]}
    for i in range(LAYERS):
        tensors |= {f"transformer.h.{i}.attn.bias": np.ones((1, 1, 4, 4), np.float32)}
        tensors |= {f"transformer.h.{i}.attn.masked_bias": np.float32([-1e4])}
    save_file(tensors, tmp_path / "head.safetensors")
    (_, plain), (_, other) = gpt2.load(file, HEADS), gpt2.load(tmp_path / "head.safetensors", HEADS)
    jax.tree.map(np.testing.assert_array_equal, other, plain)
    save_file(
        {name: tensor.astype(np.float16) for name, tensor in published().items()},
        tmp_path / "half.safetensors",
    )
    _, half = gpt2.load(tmp_path / "half.safetensors", HEADS)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), half, plain)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {np.dtype(np.float32)}
