"""GPT-2's files: what config.json says, and files that do not fit or cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from dlcore.errors import UsageError
from dlcore.models import gpt2
from tests.models.test_gpt2 import CONTEXT, HEADS, LAYERS, VOCABULARY, WIDTH, published


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file as it is published."""
    save_file(published(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


# What OpenAI's file says, with the sizes of the tensors here.
CONFIG = {
    "activation_function": "gelu_new",
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": CONTEXT,
    "n_embd": WIDTH,
    "n_head": HEADS,
    "n_layer": LAYERS,
    "n_positions": CONTEXT,
    "vocab_size": VOCABULARY,
}


def say(file: Path, **more: Any) -> None:
    """Write a config.json beside a file."""
    (file.parent / "config.json").write_text(json.dumps(CONFIG | more), encoding="utf-8")


@pytest.mark.quick
def test_config_json_says_how_many_heads_there_are(file: Path) -> None:
    _, alone = gpt2.load(file, 2)
    for heads in (2, 4):
        say(
            file,
            n_head=heads,
            scale_attn_weights=True,
            n_inner=None,
            activation_function="gelu_pytorch_tanh",
        )
        size, params = gpt2.load(file)
        assert (size.heads, size.width) == (heads, WIDTH)
        assert gpt2.load(file, heads)[0] == size
        jax.tree.map(np.testing.assert_array_equal, params, alone)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"activation_function": "relu"},
            r"activation_function is 'relu', and our GPT computes 'gelu_new'",
        ),
        ({"activation_function": "gelu"}, "activation_function is 'gelu'"),
        ({"layer_norm_epsilon": 1e-6}, r"layer_norm_epsilon is 1e-06"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"model_type": "gpt_neo"}, "model_type is 'gpt_neo'"),
        ({"n_head": None}, "n_head is None, and must be the number of heads"),
        ({"n_head": 0}, "n_head is 0"),
        ({"n_head": 5}, "5 heads do not divide a width of 24"),
        ({"n_layer": 3}, f"n_layer {LAYERS}, and config.json beside it says 3"),
        ({"n_embd": 12}, "n_embd"),
        ({"n_positions": 11}, "n_positions"),
        ({"vocab_size": 50257}, "vocab_size"),
    ],
    ids=str,
)
def test_a_network_that_ours_is_not_is_refused(
    file: Path, more: dict[str, Any], message: str
) -> None:
    say(file, **more)
    with pytest.raises(UsageError, match=message):
        gpt2.load(file)


@pytest.mark.quick
def test_heads_that_nobody_names_are_not_guessed(file: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json beside it.*say `heads`"):
        gpt2.load(file)
    say(file)
    with pytest.raises(
        UsageError, match=r"4 heads are requested, but config\.json beside it says 3"
    ):
        gpt2.load(file, 4)
    for content, message in (
        (b"{", "is no JSON"),
        (b"[1]", "holds no names"),
        (b"\xff\xfe", "cannot be read"),
    ):
        (file.parent / "config.json").write_bytes(content)
        with pytest.raises(UsageError, match=rf"config\.json: {message}"):
            gpt2.load(file, HEADS)


def _without(name: str) -> dict[str, np.ndarray]:
    return {key: tensor for key, tensor in published().items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (_without("wte.weight"), r"no matrices wte\.weight and wpe\.weight"),
        (_without("h.1.attn.c_attn.bias"), r"a GPT-2 of 2 layers misses h\.1\.attn\.c_attn\.bias$"),
        (_without("ln_f.weight"), r"misses ln_f\.weight$"),
        (
            published() | {"h.0.attn.extra": np.zeros(2)},
            r"a GPT-2 of 2 layers has besides h\.0\.attn\.extra$",
        ),
        (
            {**_without("h.0.ln_1.bias"), "h.0.ln_1.beta": np.zeros(2)},
            r"misses h\.0\.ln_1\.bias and has besides h\.0\.ln_1\.beta$",
        ),
        (
            published() | {"h.0.mlp.c_fc.weight": np.zeros((96, 24))},
            r"h\.0\.mlp\.c_fc\.weight has the shape \(96, 24\).*needs \(24, 96\)",
        ),
        (published() | {"wpe.weight": np.zeros((12, 23))}, r"wpe\.weight has the shape \(12, 23\)"),
        (
            published() | {"lm_head.weight": np.zeros((23, 24))},
            r"lm_head\.weight is not wte\.weight",
        ),
        (published() | {"wte.weight": np.zeros(7)}, r"no matrices wte\.weight and wpe\.weight"),
    ],
    ids=[
        "no embedding",
        "missing",
        "missing end",
        "left over",
        "renamed",
        "turned",
        "narrow",
        "untied",
        "flat",
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, tensors: dict[str, np.ndarray], message: str
) -> None:
    save_file(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        tmp_path / "bad.safetensors",
    )
    with pytest.raises(UsageError, match=message):
        gpt2.load(tmp_path / "bad.safetensors", HEADS)


def test_files_that_cannot_be_read_are_named(tmp_path: Path, file: Path) -> None:
    content = file.read_bytes()
    for name, broken in (
        ("cut", content[: len(content) // 2]),
        ("head", content[:20]),
        ("empty", b""),
        ("text", b"weights" * 99),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(UsageError, match=f"{name}: cannot be read as safetensors"):
            gpt2.load(tmp_path / name, HEADS)
    with pytest.raises(UsageError, match="nowhere: cannot be read as safetensors"):
        gpt2.load(tmp_path / "nowhere", HEADS)
    with pytest.raises(UsageError, match="7 heads do not divide a width of 24"):
        gpt2.load(file, 7)
