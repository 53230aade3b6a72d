"""nanoGPT's CPU recipe: 4 layers of 4 heads, width 128, context 64, batch 12, AdamW."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 0.6}


class Size(NamedTuple):
    """Sizes: layers, heads, width, context, vocabulary, texts in a batch."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    vocabulary: int = 65
    batch: int = 12


APPROXIMATE = True  # GELU by tanh, as GPT-2 has it
FULL, TINY = Size(), Size(2, 2, 8, 6, 7, 4)


def given(size: Size) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Draws parameters (with dlcore's names), tokens, and the tokens after them."""
    rng, n = np.random.default_rng(0), size.width

    def dense(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.02, shape).astype(np.float32)

    ones = {"scale": np.ones(n, np.float32)}
    params: dict[str, Any] = {
        "embed": {"embedding": dense(size.vocabulary, n)},
        "positions": dense(size.context, n),
        "norm": ones,
    }
    for layer in range(size.layers):
        shapes = {"qkv": (n, 3 * n), "out": (n, n), "up": (n, 4 * n), "down": (4 * n, n)}
        params[f"block_{layer}"] = {
            name: {"kernel": dense(*shape)} for name, shape in shapes.items()
        }
        params[f"block_{layer}"] |= {"norm_attention": ones, "norm_mlp": ones}
    text = rng.integers(0, size.vocabulary, (size.batch, size.context + 1)).astype(np.int32)
    return params, text[:, :-1].copy(), text[:, 1:].copy()


def dlcore(size: Size, precision: Any = "f32") -> Any:
    """Returns the step with `models.gpt.GPT`."""
    import optax

    from dlcore.models import gpt
    from dlcore.models.apply import apply
    from dlcore.tasks import language_modelling
    from dlcore.train.precision import with_precision
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    net = gpt.GPT(gpt.Size(size.vocabulary, size.context, size.layers, size.heads, size.width))
    loss = language_modelling.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["tokens"], key=key, train=train, row=b["row"]
        )
    )
    params, tokens, targets = given(size)
    batch = {"tokens": tokens, "targets": targets, "weight": np.ones(tokens.shape, np.float32)}
    objectives = {"net": Objective(loss, optax.adamw(1e-3, b2=0.99, weight_decay=0.1))}
    return ours.training(with_precision(objectives, precision), {"net": params}, batch)


def flax_net(size: Size) -> Any:
    """Returns the network of `nn.Dense`, `nn.LayerNorm`, `nn.gelu`, `nn.dot_product_attention`."""
    import flax.linen as nn
    import jax.numpy as jnp

    def dense(width: int, name: str) -> Any:
        return nn.Dense(width, use_bias=False, name=name)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            heads = (*x.shape[:2], size.heads, -1)
            y = dense(3 * size.width, "qkv")(
                nn.LayerNorm(1e-5, use_bias=False, name="norm_attention")(x)
            )
            q, k, v = (part.reshape(heads) for part in jnp.split(y, 3, -1))
            mask = nn.make_causal_mask(jnp.ones(x.shape[:2]))
            x = x + dense(size.width, "out")(
                nn.dot_product_attention(q, k, v, mask=mask).reshape(x.shape)
            )
            y = nn.gelu(
                dense(4 * size.width, "up")(nn.LayerNorm(1e-5, use_bias=False, name="norm_mlp")(x)),
                approximate=APPROXIMATE,
            )
            return x + dense(size.width, "down")(y)

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            embed = nn.Embed(size.vocabulary, size.width, name="embed")
            x = embed(tokens) + self.param(
                "positions", nn.initializers.normal(), (size.context, size.width)
            )
            for layer in range(size.layers):
                x = Block(name=f"block_{layer}")(x)
            return embed.attend(nn.LayerNorm(1e-5, use_bias=False, name="norm")(x))

    return Net()


def flax(size: Size) -> Any:
    """Returns the step with `flax_net`."""
    import optax

    from tests.benchmarks import flaxed

    net, (params, tokens, targets) = flax_net(size), given(size)

    def loss(params: Any, tokens: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            net.apply({"params": params}, tokens), targets
        ).mean()

    return flaxed.training(
        loss, params, optax.adamw(1e-3, b2=0.99, weight_decay=0.1), tokens, targets
    )


def torch_net(size: Size) -> Any:
    """Returns nanoGPT's model, of `F.scaled_dot_product_attention`, `F.gelu`, `nn.Linear`."""
    import torch as pt
    from torch import nn
    from torch.nn import functional as f

    from tests.benchmarks import torched

    params = given(size)[0]

    def linear(kernel: np.ndarray) -> Any:
        layer = nn.Linear(*kernel.shape, bias=False)
        torched.fill(layer.weight, kernel.T)
        return layer

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, own: dict[str, Any]) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(size.width, bias=False) for _ in range(2))
            self.qkv, self.out, self.up, self.down = (
                linear(own[name]["kernel"]) for name in ("qkv", "out", "up", "down")
            )

        def forward(self, x: Any) -> Any:
            heads = (*x.shape[:2], size.heads, -1)
            q, k, v = (
                part.view(heads).transpose(1, 2)
                for part in self.qkv(self.norms[0](x)).split(size.width, 2)
            )
            seen = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
            return x + self.down(
                f.gelu(self.up(self.norms[1](x)), approximate="tanh" if APPROXIMATE else "none")
            )

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = (
                nn.Embedding(size.vocabulary, size.width),
                nn.LayerNorm(size.width, bias=False),
            )
            torched.fill(self.embed.weight, params["embed"]["embedding"])
            self.positions = nn.Parameter(pt.tensor(params["positions"]))
            self.blocks = nn.Sequential(*(Block(params[f"block_{i}"]) for i in range(size.layers)))

        def forward(self, tokens: Any) -> Any:
            x = self.embed(tokens) + self.positions[: tokens.shape[1]]
            return f.linear(self.norm(self.blocks(x)), self.embed.weight)

    return Net()


def torch(size: Size) -> Any:
    """Returns the step with `torch_net` and AdamW, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    net, (_, tokens, targets) = torch_net(size), given(size)
    inputs, target = pt.tensor(tokens).long(), pt.tensor(targets).long().flatten()
    fused = inputs.is_cuda or None  # one kernel for all parameters, as nanoGPT has it on a GPU
    optimizer = pt.optim.AdamW(
        net.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=fused
    )
    return torched.training(lambda: f.cross_entropy(net(inputs).flatten(0, 1), target), optimizer)
