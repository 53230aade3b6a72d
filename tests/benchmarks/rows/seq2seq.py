"""A Transformer translator: 3 + 3 layers, width 128, 32 rows of 64 packed tokens, AdamW."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: layers of encoder and decoder each, heads, width, vocabulary, row length, rows."""

    layers: int = 3
    heads: int = 4
    width: int = 128
    vocabulary: int = 4000
    length: int = 64
    batch: int = 32


FULL, TINY = Size(), Size(2, 2, 8, 11, 6, 4)


def given(size: Size) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Draws parameters (with dlcore's names) and a batch of packed pairs.

    The batch has tokens of both languages, the number of the pair of each, and the next tokens.
    """
    from tests.benchmarks import encoders

    rng, n = np.random.default_rng(0), size.width
    params: dict[str, Any] = {
        "encoder": encoders.weights(rng, size.layers, n),
        "norm": encoders.norm(n, bias=False),
    }
    params["embed"] = {"embedding": rng.normal(0, 0.05, (size.vocabulary, n)).astype(np.float32)}
    for layer in range(size.layers):
        shapes = {
            "qkv": (n, 3 * n),
            "out": (n, n),
            "query": (n, n),
            "cross_out": (n, n),
            "up": (n, 4 * n),
            "down": (4 * n, n),
        }
        own = {name: encoders.dense(rng, *shape) for name, shape in shapes.items()}
        norms = ("norm_past", "norm_source", "norm_mlp")
        params[f"block_{layer}"] = own | {name: encoders.norm(n, bias=False) for name in norms}
        params[f"source_projection_{layer}"] = encoders.dense(rng, n, 2 * n)
    arrays = {
        name: rng.integers(1, size.vocabulary, (size.batch, size.length))
        for name in ("source", "tokens", "targets")
    }
    # three pairs a row
    cuts = rng.permuted(np.tile(np.arange(1, size.length), (2, size.batch, 1)), axis=-1)[..., :2]
    sides = ((np.arange(size.length) >= cut[..., None]).sum(1) + 1 for cut in cuts)
    batch = arrays | dict(zip(("source_pair", "pair"), sides, strict=True))
    return params, {name: x.astype(np.int32) for name, x in batch.items()}


PARTS = ("source", "source_pair", "tokens", "pair")


def dlcore(size: Size) -> Any:
    """Returns the step with `models.seq2seq.Seq2Seq`."""
    import optax

    from dlcore.models import seq2seq
    from dlcore.models.apply import apply
    from dlcore.tasks import language_modelling
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    net = seq2seq.Seq2Seq(
        seq2seq.Size(size.vocabulary, size.layers, size.layers, size.heads, size.width)
    )
    loss = language_modelling.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, *(b[part] for part in PARTS), key=key, train=train, row=b["row"]
        )
    )
    params, batch = given(size)
    batch["weight"] = np.ones(batch["targets"].shape, np.float32)
    return ours.training(
        {"net": Objective(loss, optax.adamw(1e-3, weight_decay=0.1))}, {"net": params}, batch
    )


def flax(size: Size) -> Any:
    """`nn.Embed`, `nn.Dense`, `nn.LayerNorm`, `nn.gelu`, `nn.dot_product_attention`."""
    import flax.linen as nn
    import jax.numpy as jnp
    import optax

    from tests.benchmarks import encoders, flaxed

    def dense(width: int, name: str) -> Any:
        return nn.Dense(width, use_bias=False, name=name)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any, memory: Any, past: Any, source: Any) -> Any:
            norm = lambda name: nn.LayerNorm(1e-5, use_bias=False, name=name)(x)  # noqa: E731
            heads, n = (*x.shape[:2], size.heads, -1), size.width
            q, k, v = (
                part.reshape(heads)
                for part in jnp.split(dense(3 * n, "qkv")(norm("norm_past")), 3, -1)
            )
            y = nn.dot_product_attention(
                encoders.flax_rotated(q), encoders.flax_rotated(k), v, mask=past
            )
            x = x + dense(n, "out")(y.reshape(x.shape))
            k, v = (
                part.reshape(*part.shape[:2], size.heads, -1) for part in jnp.split(memory, 2, -1)
            )
            y = nn.dot_product_attention(
                dense(n, "query")(norm("norm_source")).reshape(heads), k, v, mask=source
            )
            x = x + dense(n, "cross_out")(y.reshape(x.shape))
            return x + dense(n, "down")(nn.gelu(dense(4 * n, "up")(norm("norm_mlp"))))

    class Net(nn.Module):
        @nn.compact
        def __call__(self, source: Any, source_pair: Any, tokens: Any, pair: Any) -> Any:
            embed = nn.Embed(size.vocabulary, size.width, name="embed")
            same = [
                a[:, None, :, None] == b[:, None, None]
                for a, b in ((source_pair,) * 2, (pair,) * 2, (pair, source_pair))
            ]
            cross_out = encoders.flax(size.layers, size.heads)(name="encoder")(
                embed(source), same[0]
            )
            past, x = nn.combine_masks(same[1], nn.make_causal_mask(tokens)), embed(tokens)
            for layer in range(size.layers):
                x = Block(name=f"block_{layer}")(
                    x, dense(2 * size.width, f"source_projection_{layer}")(cross_out), past, same[2]
                )
            return embed.attend(nn.LayerNorm(1e-5, use_bias=False, name="norm")(x))

    params, batch = given(size)

    def loss(params: Any, targets: Any, *parts: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            Net().apply({"params": params}, *parts), targets
        ).mean()

    data = (batch["targets"], *(batch[part] for part in PARTS))
    return flaxed.training(loss, params, optax.adamw(1e-3, weight_decay=0.1), *data)


def torch(size: Size) -> Any:
    """Returns the step with PyTorch's own layers and `F.scaled_dot_product_attention`, eager."""
    import torch as pt
    from torch import nn
    from torch.nn import functional as f

    from tests.benchmarks import encoders, torched

    params, batch = given(size)
    rotated = encoders.torch_rotation(size.length, size.width // size.heads)

    def split(x: Any) -> Any:
        return x.view(*x.shape[:2], size.heads, -1).transpose(1, 2)

    def joined(x: Any) -> Any:
        return x.transpose(1, 2).flatten(2)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, own: dict[str, Any], keys_values: dict[str, Any]) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(size.width, bias=False) for _ in range(3))
            self.parts = nn.ModuleDict(
                {name: encoders.torch_dense(each) for name, each in own.items() if "kernel" in each}
            )
            self.keys_values = encoders.torch_dense(keys_values)

        def forward(self, x: Any, cross_out: Any, past: Any, source: Any) -> Any:
            q, k, v = map(split, self.parts["qkv"](self.norms[0](x)).split(size.width, 2))
            y = f.scaled_dot_product_attention(rotated(q), rotated(k), v, attn_mask=past)
            x = x + self.parts["out"](joined(y))
            k, v = map(split, self.keys_values(cross_out).split(size.width, 2))
            y = f.scaled_dot_product_attention(
                split(self.parts["query"](self.norms[1](x))), k, v, attn_mask=source
            )
            x = x + self.parts["cross_out"](joined(y))
            return x + self.parts["down"](
                f.gelu(self.parts["up"](self.norms[2](x)), approximate="tanh")
            )

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = (
                nn.Embedding(size.vocabulary, size.width),
                nn.LayerNorm(size.width, bias=False),
            )
            torched.fill(self.embed.weight, params["embed"]["embedding"])
            self.encoder = encoders.torch(params["encoder"], size.heads, size.length)
            self.blocks = nn.ModuleList(
                Block(params[f"block_{i}"], params[f"source_projection_{i}"])
                for i in range(size.layers)
            )

        def forward(self, source: Any, source_pair: Any, tokens: Any, pair: Any) -> Any:
            same = [
                a[:, None, :, None] == b[:, None, None]
                for a, b in ((source_pair,) * 2, (pair,) * 2, (pair, source_pair))
            ]
            cross_out = self.encoder(self.embed(source), same[0])
            past, x = same[1].tril(), self.embed(tokens)
            for block in self.blocks:
                x = block(x, cross_out, past, same[2])
            return f.linear(self.norm(x), self.embed.weight)

    net, parts, target = (
        Net(),
        [pt.tensor(batch[part]).long() for part in PARTS],
        pt.tensor(batch["targets"]).long().flatten(),
    )
    optimizer = pt.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.1)
    return torched.training(lambda: f.cross_entropy(net(*parts).flatten(0, 1), target), optimizer)
