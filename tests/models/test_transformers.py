"""Equal to the `transformers` library: attention, positions, BERT, and the rules of sampling.

test_transformers_live.py holds the same to the library itself, with other weights.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.grouped import grouped_attention
from dlcore.kernels.rotary_scaling import Rope, scaled_rotary
from dlcore.models import encoder
from dlcore.models.bert_original import OriginalBert
from dlcore.models.gpt import GPT, Size
from dlcore.models.gpt_batch import Decoding, adjusted, generate_batch
from dlcore.models.sampling import end_encouraged, penalised, restricted
from tests.models import transformers_arrays as made
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

SIZE = Size(
    made.VOCABULARY, made.CONTEXT, made.LAYERS, made.HEADS, made.WIDTH, rotary=True,
    kv_heads=made.KEYS, norm="rms", mlp="swiglu",
)  # fmt: skip
ROPES = {
    "plain": Rope(),
    "base": Rope(base=500.0),
    "linear": Rope(scaling="linear", factor=4.0),
    "yarn": Rope(base=100.0, scaling="yarn", factor=4.0, context=24, fast=2.0),
    "ntk": Rope(scaling="ntk", factor=3.0),  # "dynamic" at a fixed length
}


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """What `transformers_arrays` has written."""
    with np.load(made.FILE, allow_pickle=False) as file:
        return dict(file)


def close(found: Any, name: str) -> None:
    """Holds values to those of `transformers`, within rounding of float32."""
    np.testing.assert_allclose(found, arrays()[name], rtol=2e-4, atol=2e-4)


def llama() -> Any:
    """The weights of Llama as parameters of our GPT."""
    w = {n.removeprefix("llama/model."): a for n, a in arrays().items() if n.startswith("llama/")}
    tree: dict[str, Any] = {"embed": {"embedding": w["embed_tokens.weight"]}}
    tree["norm"] = {"scale": w["norm.weight"]}
    for i in range(made.LAYERS):
        at = f"layers.{i}."
        qkv = np.concatenate([w[f"{at}self_attn.{x}_proj.weight"] for x in "qkv"])
        tree[f"block_{i}"] = {
            "qkv": {"kernel": qkv.T},
            "out": {"kernel": w[at + "self_attn.o_proj.weight"].T},
            "up": {"kernel": w[at + "mlp.up_proj.weight"].T},
            "gate": {"kernel": w[at + "mlp.gate_proj.weight"].T},
            "down": {"kernel": w[at + "mlp.down_proj.weight"].T},
            "norm_attention": {"scale": w[at + "input_layernorm.weight"]},
            "norm_mlp": {"scale": w[at + "post_attention_layernorm.weight"]},
        }
    return jax.tree.map(jnp.asarray, tree)


@pytest.mark.parametrize("name", ROPES)
def test_logits_of_llama_with_each_kind_of_positions(name: str) -> None:
    size = dataclasses.replace(SIZE, rope=ROPES[name])
    close(apply(GPT(size), {"params": llama()}, arrays()["tokens"]), f"logits/{name}")


def test_logits_with_a_sliding_window() -> None:
    size = dataclasses.replace(SIZE, window=4)
    close(apply(GPT(size), {"params": llama()}, arrays()["tokens"]), "logits/window")


PADDING = np.array([0, 5], np.int32)


def test_logits_and_greedy_texts_of_padded_prompts() -> None:
    tokens = np.where(np.arange(12) < PADDING[:, None], 0, arrays()["tokens"])
    logits = np.asarray(apply(GPT(SIZE), {"params": llama()}, tokens, padding=PADDING))
    expected = arrays()["logits/padded"]
    np.testing.assert_allclose(logits[0], expected[0], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(logits[1, 5:], expected[1, 5:], rtol=2e-4, atol=2e-4)
    keys = jax.random.split(jax.random.key(0), 2)
    found = generate_batch(SIZE, llama(), tokens, PADDING, keys, 10, 2, Decoding(0.0))
    written = arrays()["greedy"]
    for row in range(2):
        n = int(found.lengths[row])
        np.testing.assert_array_equal(found.tokens[row, :n], written[row, :n])
        assert n == 10 or written[row, n] == 2
        np.testing.assert_allclose(
            found.log_probabilities[row, :n], arrays()["greedy/logp"][row, :n], atol=1e-3
        )


def test_greedy_texts_with_a_repetition_penalty() -> None:
    tokens, keys = arrays()["tokens"][:1], jax.random.split(jax.random.key(0), 1)
    how = Decoding(0.0, repetition_penalty=1.7)
    found = generate_batch(SIZE, llama(), tokens, np.zeros(1, np.int32), keys, 10, 2, how)
    written = arrays()["greedy/penalty"]
    np.testing.assert_array_equal(found.tokens[:, : written.shape[1]], written)


@pytest.mark.nightly
def test_greedy_texts_do_not_end_before_the_least_tokens() -> None:
    tokens, keys = arrays()["tokens"][:1], jax.random.split(jax.random.key(0), 1)
    end, written = int(arrays()["greedy"][0, 2]), arrays()["greedy/min_tokens"]
    prompt = SIZE, llama(), tokens, np.zeros(1, np.int32), keys, 10, end
    assert int(generate_batch(*prompt, Decoding(0.0)).lengths[0]) <= 2
    found = generate_batch(*prompt, Decoding(0.0, min_tokens=5))
    np.testing.assert_array_equal(found.tokens[:, : written.shape[1]], written)
    assert found.lengths[0] >= 5


def test_soft_caps_of_gemmas_logits() -> None:
    plain, capped = (dataclasses.replace(SIZE, logit_softcap=cap) for cap in (0.0, 3.0))
    tree = jax.tree.map(jnp.zeros_like, llama())  # blocks that add nothing
    tree["embed"]["embedding"] = jnp.asarray(arrays()["gemma/embedding"])
    tree["norm"]["scale"] = 1 + jnp.asarray(arrays()["gemma/norm"])
    for size, name in ((plain, "plain"), (capped, "capped")):
        close(apply(GPT(size), {"params": tree}, arrays()["gemma/tokens"]), f"gemma/{name}")


def test_soft_caps_of_gemma_and_partial_positions_of_neox() -> None:
    q, k, v = (jnp.asarray(arrays()[f"heads/{name}"]) for name in "qkv")
    mask = jnp.tril(jnp.ones((5, 5), bool))[None]
    close(grouped_attention(q, k, v, mask, 2.0), "heads/capped")
    close(scaled_rotary(q, jnp.arange(5), Rope(fraction=0.5)), "heads/partial")


def bert() -> Any:
    """The weights of BERT as parameters of ours."""
    w = {n.removeprefix("bert/"): a for n, a in arrays().items() if n.startswith("bert/")}

    def dense(*names: str) -> dict[str, np.ndarray]:
        kernel = np.concatenate([w[f"{name}.weight"] for name in names]).T
        return {"kernel": kernel, "bias": np.concatenate([w[f"{name}.bias"] for name in names])}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {"scale": w[f"{name}.weight"], "bias": w[f"{name}.bias"]}

    tree: dict[str, Any] = {
        "embed": {"embedding": w["embeddings.word_embeddings.weight"]},
        "positions": w["embeddings.position_embeddings.weight"],
        "segments": {"embedding": w["embeddings.token_type_embeddings.weight"]},
        "norm": norm("embeddings.LayerNorm"),
        "pool": dense("pooler.dense"),
    }
    for i in range(made.LAYERS):
        at = f"encoder.layer.{i}."
        own = f"{at}attention.self."
        tree[f"block_{i}"] = {
            "qkv": dense(f"{own}query", f"{own}key", f"{own}value"),
            "out": dense(f"{at}attention.output.dense"),
            "norm_attention": norm(f"{at}attention.output.LayerNorm"),
            "up": dense(f"{at}intermediate.dense"),
            "down": dense(f"{at}output.dense"),
            "norm_mlp": norm(f"{at}output.LayerNorm"),
        }
    return tree


def test_bert_with_segments_and_padding() -> None:
    size = encoder.Size(made.LAYERS, made.HEADS, made.WIDTH, made.CONTEXT, "learned")
    net = OriginalBert(made.VOCABULARY, size)
    tokens, mask, segment = (arrays()[f"bert_inputs/{n}"] for n in ("tokens", "mask", "segment"))
    hidden, pooled = apply(net, {"params": bert()}, tokens, mask > 0, segment)
    inside = mask > 0
    np.testing.assert_allclose(
        np.asarray(hidden)[inside], arrays()["bert_outputs/hidden"][inside], rtol=2e-4, atol=2e-4
    )
    close(pooled, "bert_outputs/pooled")
    remat = OriginalBert(made.VOCABULARY, dataclasses.replace(size, remat=True))
    run = functools.partial(remat.apply, {"params": bert()})
    assert "remat" in str(jax.make_jaxpr(run)(tokens, mask > 0, segment))
    short = OriginalBert(made.VOCABULARY, dataclasses.replace(size, context=8))
    with pytest.raises(ValueError, match="do not hold 9 tokens"):
        init(short, jax.random.key(0), tokens, mask > 0, segment)


@pytest.mark.slow
def test_rules_of_sampling() -> None:
    logits, tied, ids = (arrays()[f"rules/{name}"] for name in ("logits", "tied", "ids"))
    seen = np.zeros(logits.shape, bool)
    np.put_along_axis(seen, ids, True, 1)
    logits, tied, seen = (jnp.asarray(x) for x in (logits, tied, seen))
    close(penalised(logits, seen, 1.3), "rules/repetition")
    # the library counts the prompt of one token: six tokens are five new ones
    for n in (5, 6):
        how = Decoding(min_tokens=n)
        close(adjusted(logits, seen, jnp.asarray(5), 2, how), f"rules/min_tokens/{n}")
    close(end_encouraged(logits, 2, jnp.asarray(5), 2, 1.5), "rules/shorter")
    for name, scores in (("logits", logits), ("tied", tied)):
        close(restricted(scores, 1.0, 5), f"rules/{name}/top_k")
        close(restricted(scores, 1.0, min_p=0.1), f"rules/{name}/min_p")
    close(restricted(logits, 1.0, top_p=0.8), "rules/logits/top_p")
    close(restricted(logits, 0.7, 20, 0.9, 0.05), "rules/logits/chained")
