"""GPT-2's published weights (Radford et al. 2019) as parameters of our GPT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dlcore.errors import UsageError
from dlcore.models.gpt import Size
from dlcore.sharding import Tree

Json = str | int | float | bool | None  # a value in config.json that is no list or object

_BLOCK = {
    "ln_1.weight": ("norm_attention", "scale"),
    "ln_1.bias": ("norm_attention", "bias"),
    "attn.c_attn.weight": ("qkv", "kernel"),
    "attn.c_attn.bias": ("qkv", "bias"),
    "attn.c_proj.weight": ("out", "kernel"),
    "attn.c_proj.bias": ("out", "bias"),
    "ln_2.weight": ("norm_mlp", "scale"),
    "ln_2.bias": ("norm_mlp", "bias"),
    "mlp.c_fc.weight": ("up", "kernel"),
    "mlp.c_fc.bias": ("up", "bias"),
    "mlp.c_proj.weight": ("down", "kernel"),
    "mlp.c_proj.bias": ("down", "bias"),
}
_ENDS = {
    "wte.weight": ("embed", "embedding"),
    "wpe.weight": ("positions",),
    "ln_f.weight": ("norm", "scale"),
    "ln_f.bias": ("norm", "bias"),
}
_MASKS = (".attn.bias", ".attn.masked_bias")  # the causal mask, which some files carry along
_HEAD_MATRIX = "lm_head.weight"


# Values in `config.json` that our GPT computes; a name that is missing there has the first value.
_COMPUTED: dict[str, tuple[Json, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of the tanh form
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}


def load(path: Path, heads: int = 0) -> tuple[Size, dict[str, Tree]]:
    """Reads the size and the float32 parameters of a GPT-2 in Hugging Face's safetensors format.

    Args:
        path: the safetensors file. A `config.json` beside it gives the number of heads (`n_head`);
            its activation, epsilon and attention scale must be those of our GPT, and its dropout
            rates are ignored.
        heads: number of heads; 0: that of `config.json`. It is needed where there is no such file,
            and must agree with it where there is one.

    Returns:
        The size, and the parameters of `GPT(size)`.

    Raises:
        UsageError: the file is missing, or it or `config.json` is damaged; the number of heads is
            unknown; our GPT does not compute this network; a tensor is missing, superfluous or of
            another shape.
    """
    config = _config(path)
    tensors = _read(path)
    if not tensors.keys() >= {"wte.weight", "wpe.weight"} or any(
        tensors[name].ndim != 2 for name in ("wte.weight", "wpe.weight")
    ):
        raise UsageError(
            f"{path}: no matrices wte.weight and wpe.weight, so these are no weights of a GPT-2:"
            " name a file that has them"
        )
    (vocabulary, width), context = tensors["wte.weight"].shape, len(tensors["wpe.weight"])
    layers = len({name.split(".")[1] for name in tensors if name.startswith("h.")})
    heads = _heads(
        path,
        config,
        heads,
        {"n_layer": layers, "n_embd": width, "n_positions": context, "vocab_size": vocabulary},
    )
    size = Size(vocabulary, context, layers, heads, width, biases=True)
    expected = {name: (place, _shape(size, place)) for name, place in _ENDS.items()}
    for layer in range(layers):
        expected |= {
            f"h.{layer}.{name}": ((f"block_{layer}", *place), _shape(size, place))
            for name, place in _BLOCK.items()
        }
    head = tensors.pop(_HEAD_MATRIX, None)
    if head is not None and not np.array_equal(head, tensors["wte.weight"]):
        raise UsageError(
            f"{path}: {_HEAD_MATRIX} is not wte.weight, and our GPT has one matrix for both: tie"
            " them before"
        )
    missing, left = (
        sorted(expected.keys() - tensors.keys()),
        sorted(tensors.keys() - expected.keys()),
    )
    if missing or left:
        problems = [
            f"{words} {', '.join(names)}"
            for words, names in (("misses", missing), ("has besides", left))
            if names
        ]
        raise UsageError(f"{path}: a GPT-2 of {layers} layers {' and '.join(problems)}")
    params: dict[str, Tree] = {}
    for name, (place, shape) in expected.items():
        if tensors[name].shape != shape:
            raise UsageError(
                f"{path}: {name} has the shape {tensors[name].shape}, and a GPT-2 of width {width}"
                f" needs {shape}"
            )
        part = params
        for key in place[:-1]:
            part = part.setdefault(key, {})
        part[place[-1]] = np.asarray(tensors[name], np.float32)
    return size, params


def _config(path: Path) -> dict[str, Json] | None:
    """The contents of `config.json` beside the weights; None: there is none.

    Raises:
        UsageError: it cannot be read, or describes a network that our GPT does not compute.
    """
    file = path.parent / "config.json"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read ({error}): fetch it again") from error
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{file}: is no JSON ({error}): fetch it again") from error
    if not isinstance(config, dict):
        raise UsageError(f"{file}: holds no names and values: fetch it again")
    for name, known in _COMPUTED.items():
        if name in config and config[name] not in known:
            raise UsageError(
                f"{file}: {name} is {config[name]!r}, and our GPT computes {known[0]!r}: these"
                " weights would be another network"
            )
    return config


def _heads(path: Path, config: dict[str, Json] | None, heads: int, sizes: dict[str, int]) -> int:
    """The number of heads.

    Raises:
        UsageError: it is unknown or does not divide the width, or config and tensors differ in
            size.
    """
    if config is None and heads < 1:
        raise UsageError(
            f"{path}: no config.json beside it, and the tensors do not show the number of heads:"
            " put it there, or say `heads` (12, 16, 20 and 25 in the four published sizes)"
        )
    if config is not None:
        config_heads = config.get("n_head")
        if type(config_heads) is not int or config_heads < 1:
            raise UsageError(
                f"{path.parent / 'config.json'}: n_head is {config_heads!r}, and must be the number"
                " of heads"
            )
        if heads not in (0, config_heads):
            raise UsageError(
                f"{path}: {heads} heads are requested, but config.json beside it says"
                f" {config_heads}: leave the argument out"
            )
        heads = config_heads
        for name, size in sizes.items():
            if config.get(name, size) != size:
                raise UsageError(
                    f"{path}: its tensors have {name} {size}, and config.json beside it says"
                    f" {config[name]!r}"
                )
    if sizes["n_embd"] % heads:
        raise UsageError(
            f"{path}: {heads} heads do not divide a width of {sizes['n_embd']}: say how many"
            " there are"
        )
    return heads


def _shape(size: Size, place: tuple[str, ...]) -> tuple[int, ...]:
    """The shape of the parameter at a path; matrices are [in, out] in both formats."""
    if place == ("positions",):
        return size.context, size.width
    if place == ("embed", "embedding"):
        return size.vocabulary, size.width
    module, leaf = place[-2:]
    into = {"qkv": 3 * size.width, "up": size.hidden}.get(module, size.width)
    return (size.hidden if module == "down" else size.width, into) if leaf == "kernel" else (into,)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by its name without the prefix `transformer.`, except masks."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{path}: cannot be read as safetensors ({error}): fetch it again, or name another file"
        ) from error
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not (name.startswith("h.") and name.endswith(_MASKS))
    }
