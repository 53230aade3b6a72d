"""A BERT that predicts masked tokens: 2 layers, width 128, 64 texts of up to 64 tokens, AdamW."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}


class Size(NamedTuple):
    """Layers, heads, width, tokens of a text, masked tokens, vocabulary, texts in a batch."""

    layers: int = 2
    heads: int = 4
    width: int = 128
    length: int = 64
    masked: int = 10
    vocabulary: int = 8192
    batch: int = 64


FULL, TINY = Size(), Size(2, 2, 8, 6, 2, 11, 4)


def given(size: Size) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    """Draws parameters with dlcore's names, tokens (0: padding), masked positions and targets."""
    from tests.benchmarks import encoders

    rng, n = np.random.default_rng(0), size.width
    zeros = {
        name: np.zeros(size_of, np.float32)
        for name, size_of in (("dense", n), ("vocabulary", size.vocabulary))
    }
    table = rng.normal(0, 0.05, (size.vocabulary, n)).astype(np.float32)
    text = {
        "embed": {"embedding": table},
        "norm": encoders.norm(n),
        "encoder": encoders.weights(rng, size.layers, n),
    }
    params = {"text": text, "dense": encoders.dense(rng, n, n) | {"bias": zeros["dense"]}}
    params |= {"norm": encoders.norm(n), "bias": zeros["vocabulary"]}
    tokens = rng.integers(1, size.vocabulary, (size.batch, size.length)).astype(np.int32)
    length = rng.integers(size.length // 2, size.length + 1, size.batch)
    places = np.stack([rng.permutation(n)[: size.masked] for n in length]).astype(np.int32)
    truth = np.take_along_axis(tokens, places, 1)
    np.put_along_axis(tokens, places, 1, 1)
    return (
        params,
        np.where(np.arange(size.length) < length[:, None], tokens, 0).astype(np.int32),
        places,
        truth,
    )


def dlcore(size: Size) -> Any:
    """Returns the step with `models.bert.Masked`."""
    import optax

    from dlcore.models import encoder
    from dlcore.models.apply import apply
    from dlcore.models.bert import Masked
    from dlcore.tasks import language_modelling
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    net = Masked(size.vocabulary, encoder.Size(size.layers, size.heads, size.width))
    loss = language_modelling.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["tokens"], b["places"], key=key, train=train, row=b["row"]
        )
    )
    params, tokens, places, truth = given(size)
    batch = {
        "tokens": tokens,
        "places": places,
        "targets": truth,
        "weight": np.ones(truth.shape, np.float32),
    }
    return ours.training(
        {"net": Objective(loss, optax.adamw(1e-3, weight_decay=0.1))}, {"net": params}, batch
    )


def flax(size: Size) -> Any:
    """`nn.Embed`, `nn.Dense`, `nn.LayerNorm`, `nn.gelu`, `nn.dot_product_attention`."""
    import flax.linen as nn
    import jax.numpy as jnp
    import optax

    from tests.benchmarks import encoders, flaxed

    class Text(nn.Module):
        def setup(self) -> None:
            self.embed = nn.Embed(size.vocabulary, size.width)
            self.norm, self.encoder = nn.LayerNorm(1e-5), encoders.flax(size.layers, size.heads)()

        def __call__(self, tokens: Any) -> Any:
            return self.encoder(self.norm(self.embed(tokens)), (tokens != 0)[:, None, None])

        def scores(self, x: Any) -> Any:
            return self.embed.attend(x)

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any, places: Any) -> Any:
            text = Text(name="text")
            x = jnp.take_along_axis(text(tokens), places[..., None], 1)
            x = nn.LayerNorm(1e-5, name="norm")(nn.gelu(nn.Dense(size.width, name="dense")(x)))
            return text.scores(x) + self.param("bias", nn.initializers.zeros, (size.vocabulary,))

    params, tokens, places, truth = given(size)

    def loss(params: Any, tokens: Any, places: Any, truth: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            Net().apply({"params": params}, tokens, places), truth
        ).mean()

    return flaxed.training(loss, params, optax.adamw(1e-3, weight_decay=0.1), tokens, places, truth)


def torch(size: Size) -> Any:
    """Returns the step with PyTorch's own layers and `F.scaled_dot_product_attention`, eager."""
    import torch as pt
    from torch import nn
    from torch.nn import functional as f

    from tests.benchmarks import encoders, torched

    params, tokens, places, truth = given(size)

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(size.vocabulary, size.width)
            torched.fill(self.embed.weight, params["text"]["embed"]["embedding"])
            self.encoder = encoders.torch(params["text"]["encoder"], size.heads, size.length)
            self.dense, self.norms = (
                encoders.torch_dense(params["dense"]),
                nn.ModuleList(nn.LayerNorm(size.width) for _ in "ab"),
            )
            self.bias = nn.Parameter(pt.zeros(size.vocabulary))

        def forward(self, tokens: Any, places: Any) -> Any:
            x = self.encoder(self.norms[0](self.embed(tokens)), (tokens != 0)[:, None, None])
            x = x.gather(1, places[..., None].expand(-1, -1, size.width))
            x = self.norms[1](f.gelu(self.dense(x), approximate="tanh"))
            return f.linear(x, self.embed.weight, self.bias)

    net, inputs, there, targets = Net(), *(pt.tensor(x).long() for x in (tokens, places, truth))
    optimizer = pt.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.1)
    return torched.training(
        lambda: f.cross_entropy(net(inputs, there).flatten(0, 1), targets.flatten()), optimizer
    )
