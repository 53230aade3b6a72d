"""A Transformer encoder with rotary positions: its weights, and the network in Flax and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np


def dense(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Draws a kernel, {"kernel": float32 of `shape`}."""
    return {"kernel": rng.normal(0, 0.05, shape).astype(np.float32)}


def norm(width: int, bias: bool = True) -> dict[str, np.ndarray]:
    """Returns the scale (1) and the bias (0) of a layer normalisation."""
    return {"scale": np.ones(width, np.float32)} | (
        {"bias": np.zeros(width, np.float32)} if bias else {}
    )


def weights(rng: np.random.Generator, layers: int, width: int) -> dict[str, Any]:
    """Draws parameters, with the names of `models.encoder.Encoder`."""
    n, found = width, dict[str, Any](norm=norm(width))
    for layer in range(layers):
        shapes = {"qkv": (n, 3 * n), "out": (n, n), "up": (n, 4 * n), "down": (4 * n, n)}
        found[f"block_{layer}"] = {name: dense(rng, *shape) for name, shape in shapes.items()}
        found[f"block_{layer}"] |= {"norm_attention": norm(n), "norm_mlp": norm(n)}
    return found


def flax_rotated(x: Any) -> Any:
    """Applies rotary positions to [batch, length, heads, d]."""
    import jax.numpy as jnp

    length, d = x.shape[1], x.shape[-1]
    angle = jnp.arange(length)[:, None, None] * 10000 ** (-jnp.arange(0, d, 2) / d)
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate(
        [a * jnp.cos(angle) - b * jnp.sin(angle), a * jnp.sin(angle) + b * jnp.cos(angle)], -1
    )


def flax(layers: int, heads: int) -> Any:
    """Returns the class of the encoder, of stock Flax modules.

    Its call takes x [batch, length, width] and a mask [batch, 1, 1 or length, length].
    """
    import flax.linen as nn
    import jax.numpy as jnp

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any, seen: Any) -> Any:
            width, split = x.shape[-1], (*x.shape[:2], heads, -1)
            y = nn.Dense(3 * width, use_bias=False, name="qkv")(
                nn.LayerNorm(1e-5, name="norm_attention")(x)
            )
            q, k, v = (part.reshape(split) for part in jnp.split(y, 3, -1))
            y = nn.dot_product_attention(flax_rotated(q), flax_rotated(k), v, mask=seen).reshape(
                x.shape
            )
            x = x + nn.Dense(width, use_bias=False, name="out")(y)
            y = nn.gelu(
                nn.Dense(4 * width, use_bias=False, name="up")(
                    nn.LayerNorm(1e-5, name="norm_mlp")(x)
                )
            )
            return x + nn.Dense(width, use_bias=False, name="down")(y)

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x: Any, seen: Any) -> Any:
            for layer in range(layers):
                x = Block(name=f"block_{layer}")(x, seen)
            return nn.LayerNorm(1e-5, name="norm")(x)

    return Encoder


def torch_dense(own: dict[str, np.ndarray]) -> Any:
    """Returns an `nn.Linear` with a kernel, and a bias if there is one."""
    from torch import nn

    from tests.benchmarks import torched

    layer = nn.Linear(*own["kernel"].shape, bias="bias" in own)
    torched.fill(layer.weight, own["kernel"].T)
    if "bias" in own:
        torched.fill(layer.bias, own["bias"])
    return layer


def torch_rotation(length: int, d: int) -> Any:
    """Returns a function that applies rotary positions to [batch, heads, length, d]."""
    import torch as pt

    angle = pt.arange(length)[:, None] * 10000 ** (-pt.arange(0, d, 2) / d)
    cos, sin = angle.cos(), angle.sin()

    def rotated(x: Any) -> Any:
        a, b = x.chunk(2, -1)
        return pt.cat([a * cos - b * sin, a * sin + b * cos], -1)

    return rotated


def torch(params: dict[str, Any], heads: int, length: int) -> Any:
    """Returns the encoder of PyTorch's modules, with the parameters of `weights`.

    Its call takes x [batch, length, width] and a mask [batch, 1, 1 or length, length].
    """
    from torch import nn
    from torch.nn import functional as f

    width = len(params["norm"]["scale"])
    rotated = torch_rotation(length, width // heads)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, own: dict[str, Any]) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            self.qkv, self.out, self.up, self.down = (
                torch_dense(own[name]) for name in ("qkv", "out", "up", "down")
            )

        def forward(self, x: Any, seen: Any) -> Any:
            split = (*x.shape[:2], heads, -1)
            q, k, v = (
                part.view(split).transpose(1, 2)
                for part in self.qkv(self.norms[0](x)).split(width, 2)
            )
            y = f.scaled_dot_product_attention(rotated(q), rotated(k), v, attn_mask=seen)
            x = x + self.out(y.transpose(1, 2).reshape(x.shape))
            return x + self.down(f.gelu(self.up(self.norms[1](x)), approximate="tanh"))

    class Encoder(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block(params[f"block_{i}"]) for i in range(len(params) - 1))
            self.norm = nn.LayerNorm(width)

        def forward(self, x: Any, seen: Any) -> Any:
            for block in self.blocks:
                x = block(x, seen)
            return self.norm(x)

    return Encoder()
