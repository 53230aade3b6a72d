"""A GRU of 128 that classifies digits by 28 rows of 28 pixels; batch 128, Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.2, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: units, steps, inputs of a step, examples in a batch."""

    width: int = 128
    length: int = 28
    inputs: int = 28
    batch: int = 128


FULL, TINY = Size(), Size(8, 5, 4, 8)


def given(size: Size) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draws weights (gates concatenated: reset, update, new), sequences and labels."""
    rng, n = np.random.default_rng(0), size.width
    shapes = {"given": (size.inputs, 3 * n), "kernel": (n, 3 * n), "head": (n, 10)}
    weights = {
        name: rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    x = rng.uniform(size=(size.batch, size.length, size.inputs)).astype(np.float32)
    return weights, x, rng.integers(0, 10, size.batch).astype(np.int32)


def dlcore(size: Size) -> Any:
    """`models.rnn`: the input product before the scan, and a hand-written gradient."""
    import optax

    from dlcore.models.apply import apply
    from dlcore.models.rnn import RNN, Reader
    from dlcore.tasks import classification
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    weights, x, label = given(size)
    n = size.width
    layer = {"kernel": weights["kernel"], "bias": np.zeros(n, np.float32)}
    layer |= {"input": {"kernel": weights["given"], "bias": np.zeros(3 * n, np.float32)}}
    params = {
        "rnn": {"layer_0": layer},
        "head": {"kernel": weights["head"], "bias": np.zeros(10, np.float32)},
    }
    net = Reader(RNN("gru", n), outputs=10)
    loss = classification.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["x"], key=key, train=train, row=b["row"]
        )
    )
    return ours.training(
        {"net": Objective(loss, optax.adam(1e-3))}, {"net": params}, {"x": x, "label": label}
    )


def flax(size: Size) -> Any:
    """Returns the step with `nn.RNN` of an `nn.GRUCell`."""
    import flax.linen as nn
    import optax

    from tests.benchmarks import flaxed

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(10)(nn.RNN(nn.GRUCell(size.width, name="cell"))(x)[:, -1])

    weights, x, label = given(size)
    n, zeros = size.width, np.zeros(size.width, np.float32)
    cell = {
        f"i{gate}": {"kernel": weights["given"][:, i * n : (i + 1) * n], "bias": zeros}
        for i, gate in enumerate("rzn")
    }
    cell |= {
        f"h{gate}": {"kernel": weights["kernel"][:, i * n : (i + 1) * n]}
        for i, gate in enumerate("rzn")
    }
    cell["hn"] |= {"bias": zeros}
    params = {
        "cell": cell,
        "Dense_0": {"kernel": weights["head"], "bias": np.zeros(10, np.float32)},
    }

    def loss(params: Any, x: Any, label: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            Net().apply({"params": params}, x), label
        ).mean()

    return flaxed.training(loss, params, optax.adam(1e-3), x, label)


def torch(size: Size) -> Any:
    """Returns the step with `nn.GRU`, eager."""
    import torch as pt
    from torch import nn

    from tests.benchmarks import torched

    weights, x, label = given(size)
    gru, head = nn.GRU(size.inputs, size.width, batch_first=True), nn.Linear(size.width, 10)
    torched.fill(gru.weight_ih_l0, weights["given"].T)
    torched.fill(gru.weight_hh_l0, weights["kernel"].T)
    torched.fill(head.weight, weights["head"].T)
    for bias in (gru.bias_ih_l0, gru.bias_hh_l0, head.bias):
        nn.init.zeros_(bias)
    sequence, target = pt.tensor(x), pt.tensor(label).long()
    loss = lambda: nn.functional.cross_entropy(head(gru(sequence)[0][:, -1]), target)  # noqa: E731
    return torched.training(loss, pt.optim.Adam([*gru.parameters(), *head.parameters()], 1e-3))
