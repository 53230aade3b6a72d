"""Zaremba's small language model: 2 LSTM layers of 200, 10,000 words, 20 texts of 35, SGD."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}
CPU_DEVICES = 1  # 700 words for 4.6 million parameters: of two devices, each would update them all
RATE, CLIP = 1.0, 5.0


class Size(NamedTuple):
    """Sizes: units, layers, vocabulary, length of a text, texts in a batch."""

    width: int = 200
    layers: int = 2
    vocabulary: int = 10_000
    length: int = 35
    batch: int = 20


FULL, TINY = Size(), Size(8, 2, 11, 5, 4)


def given(size: Size) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draws weights (gates concatenated: input, forget, cell, output), words and next words."""
    rng, n = np.random.default_rng(0), size.width
    shapes = {"embed": (size.vocabulary, n), "out": (size.vocabulary, n)}
    for layer in range(size.layers):
        shapes |= {f"given_{layer}": (n, 4 * n), f"kernel_{layer}": (n, 4 * n)}
    weights = {
        name: rng.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    text = rng.integers(0, size.vocabulary, (size.batch, size.length + 1)).astype(np.int32)
    return weights, text[:, :-1].copy(), text[:, 1:].copy()


def dlcore(size: Size) -> Any:
    """`models.rnn.RNN` between an embedding and `kernels.cross_entropy.linear_cross_entropy`."""
    import flax.linen as nn
    import optax

    from dlcore.kernels.cross_entropy import linear_cross_entropy
    from dlcore.models.apply import apply
    from dlcore.models.rnn import RNN
    from dlcore.train.step import Mean, Objective, Out
    from tests.benchmarks import ours

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            x = nn.Embed(size.vocabulary, size.width, name="embed")(tokens)
            out = self.param("out", nn.initializers.normal(), (size.vocabulary, size.width))
            return (
                RNN("lstm", size.width, size.layers, name="rnn")(x)[0].reshape(-1, size.width),
                out,
            )

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        (hidden, out), extra = apply(Net(), "net", params, extra, batch["tokens"], key=key)
        weight = batch["mask"].repeat(size.length)
        return Out(
            Mean(
                linear_cross_entropy(hidden, out, batch["targets"].reshape(-1), weight),
                weight.sum(),
            ),
            {},
            extra,
        )

    weights, tokens, targets = given(size)
    zeros = np.zeros(4 * size.width, np.float32)
    rnn = {
        f"layer_{i}": {
            "kernel": weights[f"kernel_{i}"],
            "input": {"kernel": weights[f"given_{i}"], "bias": zeros},
        }
        for i in range(size.layers)
    }
    params = {"embed": {"embedding": weights["embed"]}, "rnn": rnn, "out": weights["out"]}
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.sgd(RATE))
    return ours.training(
        {"net": Objective(loss, optimizer)}, {"net": params}, {"tokens": tokens, "targets": targets}
    )


def flax(size: Size) -> Any:
    """Returns the step with `nn.Embed`, `nn.RNN` of `nn.OptimizedLSTMCell`, `nn.Dense`."""
    import flax.linen as nn
    import optax

    from tests.benchmarks import flaxed

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            x = nn.Embed(size.vocabulary, size.width, name="embed")(tokens)
            for layer in range(size.layers):
                x = nn.RNN(nn.OptimizedLSTMCell(size.width, name=f"cell_{layer}"))(x)
            return nn.Dense(size.vocabulary, use_bias=False, name="out")(x)

    weights, tokens, targets = given(size)
    params: dict[str, Any] = {
        "embed": {"embedding": weights["embed"]},
        "out": {"kernel": weights["out"].T},
    }
    for layer in range(size.layers):
        own = {
            f"i{gate}": {"kernel": k}
            for gate, k in zip("ifgo", np.split(weights[f"given_{layer}"], 4, 1), strict=True)
        }
        for gate, kernel in zip("ifgo", np.split(weights[f"kernel_{layer}"], 4, 1), strict=True):
            own[f"h{gate}"] = {"kernel": kernel, "bias": np.zeros(size.width, np.float32)}
        params[f"cell_{layer}"] = own

    def loss(params: Any, tokens: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            Net().apply({"params": params}, tokens), targets
        ).mean()

    return flaxed.training(
        loss, params, optax.chain(optax.clip_by_global_norm(CLIP), optax.sgd(RATE)), tokens, targets
    )


def torch(size: Size) -> Any:
    """Returns the step with `nn.Embedding`, `nn.LSTM`, `nn.Linear`, `clip_grad_norm_`, eager."""
    import torch as pt
    from torch import nn

    from tests.benchmarks import torched

    weights, tokens, targets = given(size)
    embed, out = (
        nn.Embedding(size.vocabulary, size.width),
        nn.Linear(size.width, size.vocabulary, bias=False),
    )
    lstm = nn.LSTM(size.width, size.width, size.layers, batch_first=True)
    torched.fill(embed.weight, weights["embed"])
    torched.fill(out.weight, weights["out"])
    for layer in range(size.layers):
        torched.fill(getattr(lstm, f"weight_ih_l{layer}"), weights[f"given_{layer}"].T)
        torched.fill(getattr(lstm, f"weight_hh_l{layer}"), weights[f"kernel_{layer}"].T)
        for bias in (f"bias_ih_l{layer}", f"bias_hh_l{layer}"):
            nn.init.zeros_(getattr(lstm, bias))
        # one of two that are added: the others have one
        getattr(lstm, f"bias_ih_l{layer}").requires_grad_(False)
    inputs, target = pt.tensor(tokens).long(), pt.tensor(targets).long().flatten()
    own = [p for part in (embed, lstm, out) for p in part.parameters() if p.requires_grad]
    loss = lambda: nn.functional.cross_entropy(out(lstm(embed(inputs))[0]).flatten(0, 1), target)  # noqa: E731
    return torched.training(
        loss, pt.optim.SGD(own, RATE), lambda: nn.utils.clip_grad_norm_(own, CLIP)
    )
