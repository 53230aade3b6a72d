"""An MLP of widths 784-512-512-10, batch 128, Adam."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "flax": 1.0}
CPU_DEVICES = 1  # as the pages of such networks have it: a step is over before two devices have met


class Size(NamedTuple):
    """Sizes: width of the hidden layers, examples in a batch."""

    width: int = 512
    batch: int = 128


FULL, TINY = Size(), Size(16, 8)


def given(size: Size) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
    """Draws layers (kernel [n, m], bias [m]), pixels and labels."""
    rng, widths = np.random.default_rng(0), (784, size.width, size.width, 10)
    pairs = list(itertools.pairwise(widths))
    layers = [
        (rng.normal(0, n**-0.5, (n, m)).astype(np.float32), np.zeros(m, np.float32))
        for n, m in pairs
    ]
    return (
        layers,
        rng.uniform(size=(size.batch, 784)).astype(np.float32),
        rng.integers(0, 10, size.batch).astype(np.int32),
    )


def tree(size: Size) -> dict[str, Any]:
    """Returns the parameters with the names of Flax."""
    return {
        f"Dense_{i}": {"kernel": kernel, "bias": bias}
        for i, (kernel, bias) in enumerate(given(size)[0])
    }


def dlcore(size: Size) -> Any:
    """Returns the step with `models.mlp.MLP`."""
    import optax

    from dlcore.models.apply import apply
    from dlcore.models.mlp import MLP
    from dlcore.tasks import classification
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    net = MLP((size.width, size.width), classes=10)
    loss = classification.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["image"], key=key, train=train, row=b["row"]
        )
    )
    _, x, label = given(size)
    return ours.training(
        {"net": Objective(loss, optax.adam(1e-3))},
        {"net": tree(size)},
        {"image": x, "label": label},
    )


def flax(size: Size) -> Any:
    """Returns the step with `nn.Sequential` of `nn.Dense`, as the documentation has it."""
    import flax.linen as nn
    import optax

    from tests.benchmarks import flaxed

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for _ in range(2):
                x = nn.relu(nn.Dense(size.width)(x))
            return nn.Dense(10)(x)

    def loss(params: Any, x: Any, label: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            Net().apply({"params": params}, x), label
        ).mean()

    return flaxed.training(loss, tree(size), optax.adam(1e-3), *given(size)[1:])


def torch(size: Size) -> Any:
    """Returns the step with `nn.Sequential`, eager."""
    import torch as pt
    from torch import nn

    from tests.benchmarks import torched

    layers, x, label = given(size)
    parts: list[Any] = []
    for kernel, bias in layers:
        dense = nn.Linear(*kernel.shape)
        torched.fill(dense.weight, kernel.T)
        torched.fill(dense.bias, bias)
        parts += [dense, nn.ReLU()]
    net = nn.Sequential(*parts[:-1])
    target, pixels = pt.tensor(label).long(), pt.tensor(x)
    loss = lambda: nn.functional.cross_entropy(net(pixels), target)  # noqa: E731
    return torched.training(loss, pt.optim.Adam(net.parameters(), 1e-3))
