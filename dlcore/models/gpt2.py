"""GPT-2's published weights (Radford et al. 2019) as parameters of our GPT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dlcore.errors import UsageError
from dlcore.models.gpt import Size

_HEAD = 64  # numbers in a head, in all four published sizes
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


def load(path: Path, heads: int = 0) -> tuple[Size, dict[str, Any]]:
    """The size and the float32 parameters of a safetensors file with the names of Hugging Face's `transformers`.

    `heads` 0: 64 numbers a head, as in all published sizes. UsageError: the file is damaged, or a tensor is missing, left over or of
    another shape.
    """
    tensors = _read(path)
    if not tensors.keys() >= {"wte.weight", "wpe.weight"} or any(
        tensors[name].ndim != 2 for name in ("wte.weight", "wpe.weight")
    ):
        raise UsageError(
            f"{path}: no matrices wte.weight and wpe.weight, so these are no weights of a GPT-2: name a file that has them"
        )
    (vocabulary, width), context = tensors["wte.weight"].shape, len(tensors["wpe.weight"])
    layers = len({name.split(".")[1] for name in tensors if name.startswith("h.")})
    heads = heads or max(width // _HEAD, 1)
    if width % heads:
        raise UsageError(f"{path}: {heads} heads do not divide a width of {width}: say how many there are")
    size = Size(vocabulary, context, layers, heads, width, biases=True)
    wanted = {name: (place, _shape(size, place)) for name, place in _ENDS.items()}
    for layer in range(layers):
        wanted |= {f"h.{layer}.{name}": ((f"block_{layer}", *place), _shape(size, place)) for name, place in _BLOCK.items()}
    head = tensors.pop(_HEAD_MATRIX, None)
    if head is not None and not np.array_equal(head, tensors["wte.weight"]):
        raise UsageError(f"{path}: {_HEAD_MATRIX} is not wte.weight, and our GPT has one matrix for both: tie them before")
    missing, left = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or left:
        told = [f"{words} {', '.join(names)}" for words, names in (("misses", missing), ("has besides", left)) if names]
        raise UsageError(f"{path}: a GPT-2 of {layers} layers {' and '.join(told)}")
    params: dict[str, Any] = {}
    for name, (place, shape) in wanted.items():
        if tensors[name].shape != shape:
            raise UsageError(f"{path}: {name} has the shape {tensors[name].shape}, and a GPT-2 of width {width} needs {shape}")
        part = params
        for key in place[:-1]:
            part = part.setdefault(key, {})
        part[place[-1]] = np.asarray(tensors[name], np.float32)
    return size, params


def _shape(size: Size, place: tuple[str, ...]) -> tuple[int, ...]:
    """The shape of a parameter at its place. Both keep matrices as [in, out]."""
    if place == ("positions",):
        return size.context, size.width
    if place == ("embed", "embedding"):
        return size.vocabulary, size.width
    module, leaf = place[-2:]
    into = {"qkv": 3 * size.width, "up": size.hidden}.get(module, size.width)
    return (size.hidden if module == "down" else size.width, into) if leaf == "kernel" else (into,)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by its name without `transformer.`, masks left out."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: cannot be read as safetensors ({error}): fetch it again, or name another file") from error
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in tensors.items() if not (name.startswith("h.") and name.endswith(_MASKS))}
