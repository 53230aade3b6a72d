"""Outputs of the `transformers` library for small networks with random weights.

`python -m tests.models.transformers_arrays` writes transformers.npz anew; it needs the extra
`compare`, for `transformers` and `torch`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("transformers.npz")
VOCABULARY, CONTEXT, LAYERS, HEADS, KEYS, WIDTH, HIDDEN = 31, 24, 2, 4, 2, 16, 48
Named = dict[str, np.ndarray]
ROPES: dict[str, dict[str, Any]] = {
    "plain": {"rope_type": "default", "rope_theta": 10000.0},
    "base": {"rope_type": "default", "rope_theta": 500.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    "yarn": {
        "rope_type": "yarn",
        "rope_theta": 100.0,
        "factor": 4.0,
        "original_max_position_embeddings": 24,
        "beta_fast": 2.0,
        "beta_slow": 1.0,
    },
}


def arrays(seed: int = 0) -> Named:
    """Computes inputs, weights and outputs, {name: array}; those of the file have the seed 0."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        return {**_llama(), **_heads(), **_bert(), **_logits()}


def _array(x: Any) -> np.ndarray:
    return x.detach().numpy().copy()


def _causal(kind: str, **more: Any) -> Any:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        attn_implementation="eager",
        **more,
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def _llama() -> Named:
    """Logits with each kind of rotary positions, left padding, a window; greedy continuations."""
    import torch

    def fill(net: Any, state: Any) -> Any:
        net.load_state_dict(state)
        return net

    plain = _causal("Llama", rope_parameters=ROPES["plain"])
    state = plain.state_dict()
    for name, weight in state.items():
        state[name] = torch.randn(weight.shape) * 0.5 + ("norm" in name)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    found = {f"llama/{name}": _array(weight) for name, weight in state.items() if "lm" not in name}
    tokens = torch.randint(3, VOCABULARY, (2, 12))
    found["tokens"] = _array(tokens).astype(np.int32)
    for name, rope in ROPES.items():
        net = fill(_causal("Llama", rope_parameters=rope), state)
        found[f"logits/{name}"] = _array(net(tokens).logits)
    net = fill(_causal("Llama", rope_parameters=ROPES["plain"]), state)
    mask = torch.ones_like(tokens)
    mask[1, :5] = 0
    found["logits/padded"] = _array(net(tokens * mask, attention_mask=mask).logits)
    window = fill(_causal("Mistral", sliding_window=4, rope_parameters=ROPES["plain"]), state)
    found["logits/window"] = _array(window(tokens).logits)
    greedy = {"do_sample": False, "max_new_tokens": 10, "return_dict_in_generate": True}
    out = net.generate(tokens * mask, attention_mask=mask, output_logits=True, **greedy)
    new = out.sequences[:, 12:]
    logp = torch.stack(out.logits, 1).log_softmax(-1).gather(-1, new[..., None])[..., 0]
    found["greedy"], found["greedy/logp"] = _array(new).astype(np.int32), _array(logp)
    out = net.generate(tokens[:1], repetition_penalty=1.7, **greedy)
    found["greedy/penalty"] = _array(out.sequences[:, 12:]).astype(np.int32)
    return found


def _heads() -> Named:
    """Soft caps of Gemma 2, and the partial rotation of GPT-NeoX."""
    import torch
    from transformers.models.gemma2 import modeling_gemma2
    from transformers.models.gpt_neox import modeling_gpt_neox

    class Module(torch.nn.Module):
        num_key_value_groups = HEADS // KEYS
        head_dim = 8

    q = torch.randn(2, HEADS, 5, 8) * 3
    k, v = torch.randn(2, 2, KEYS, 5, 8)
    mask = torch.full((5, 5), -1e30).triu(1)[None, None]
    capped, _ = modeling_gemma2.eager_attention_forward(
        Module(), q, k, v, mask, scaling=8**-0.5, softcap=2.0
    )
    angle = torch.arange(5.0)[None, :, None] * 10000.0 ** (-torch.arange(0, 4, 2) / 4)
    angle = torch.cat([angle, angle], -1)
    part, _ = modeling_gpt_neox.apply_rotary_pos_emb(q, q, angle.cos(), angle.sin())
    found = {"q": q, "k": k, "v": v, "capped": capped.transpose(1, 2), "partial": part}
    return {f"heads/{name}": _array(x) for name, x in found.items()}


def _bert() -> Named:
    """BERT's encoder with segments and padding."""
    import torch
    import transformers

    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=CONTEXT,
        attn_implementation="eager",
    )
    net = transformers.BertModel(config).eval()
    state = net.state_dict()
    for name, weight in state.items():
        if weight.is_floating_point():
            state[name] = torch.randn(weight.shape) * 0.3 + ("LayerNorm.weight" in name)
    net.load_state_dict(state)
    tokens = torch.randint(0, VOCABULARY, (2, 9))
    mask = torch.ones_like(tokens)
    mask[1, 6:] = 0
    segment = (torch.arange(9)[None] >= torch.tensor([[4], [3]])).long()
    out = net(tokens, attention_mask=mask, token_type_ids=segment)
    found = {f"bert/{n}": _array(x) for n, x in state.items() if x.is_floating_point()}
    inputs = {"tokens": tokens, "mask": mask, "segment": segment}
    found |= {f"bert_inputs/{name}": _array(x).astype(np.int32) for name, x in inputs.items()}
    return {
        **found,
        "bert_outputs/hidden": _array(out.last_hidden_state),
        "bert_outputs/pooled": _array(out.pooler_output),
    }


def _logits() -> Named:
    """What the rules of sampling leave of random logits, and of logits with ties."""
    import torch
    from transformers import generation as rules

    ids = torch.randint(0, VOCABULARY, (4, 6))
    logits = torch.randn(4, VOCABULARY) * 2
    tied = torch.round(torch.randn(4, VOCABULARY) * 2)
    found: dict[str, Any] = {"logits": logits, "tied": tied, "ids": ids}
    found["repetition"] = rules.RepetitionPenaltyLogitsProcessor(1.3)(ids, logits)
    found["shorter"] = rules.ExponentialDecayLengthPenalty((2, 1.5), 2, 1)(ids, logits)
    for name, scores in (("logits", logits), ("tied", tied)):
        found[f"{name}/top_k"] = rules.TopKLogitsWarper(5)(ids, scores)
        found[f"{name}/min_p"] = rules.MinPLogitsWarper(0.1)(ids, scores)
    found["logits/top_p"] = rules.TopPLogitsWarper(0.8)(ids, logits)
    chained = rules.TemperatureLogitsWarper(0.7)(ids, logits)
    for rule in (
        rules.TopKLogitsWarper(20),
        rules.TopPLogitsWarper(0.9),
        rules.MinPLogitsWarper(0.05),
    ):
        chained = rule(ids, chained)
    found["logits/chained"] = chained
    return {f"rules/{name}": _array(x) for name, x in found.items()}


if __name__ == "__main__":
    np.savez_compressed(FILE, allow_pickle=False, **arrays())
