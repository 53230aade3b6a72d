"""3x3 convolutions of 32 and 64 with 2x2 max-pooling, a hidden layer; 28x28, batch 128, Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 0.5}


class Size(NamedTuple):
    """Sizes: channels of the first convolution, hidden units, image height, examples in a batch."""

    width: int = 32
    hidden: int = 256
    side: int = 28
    batch: int = 128


FULL, TINY = Size(), Size(4, 8, 8, 8)


def given(size: Size) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
    """Draws (kernel, bias) of each layer, images [batch, side, side, 1] and labels.

    Kernels are [3, 3, n, m] of convolutions, [n, m] of dense layers.
    """
    rng = np.random.default_rng(0)
    flat = (size.side // 4) ** 2 * 2 * size.width
    shapes = [
        (3, 3, 1, size.width),
        (3, 3, size.width, 2 * size.width),
        (flat, size.hidden),
        (size.hidden, 10),
    ]
    kernels = [rng.normal(0, np.prod(s[:-1]) ** -0.5, s).astype(np.float32) for s in shapes]
    x = rng.uniform(size=(size.batch, size.side, size.side, 1)).astype(np.float32)
    return (
        [(k, np.zeros(k.shape[-1], np.float32)) for k in kernels],
        x,
        rng.integers(0, 10, size.batch).astype(np.int32),
    )


def tree(size: Size) -> dict[str, Any]:
    """Returns the parameters with the names of Flax."""
    names = ("Conv_0", "Conv_1", "Dense_0", "Dense_1")
    return {
        name: {"kernel": k, "bias": b} for name, (k, b) in zip(names, given(size)[0], strict=True)
    }


def objective(size: Size) -> Any:
    """Returns the objective: dlcore's pooling and loss, Flax's convolutions as in `models.cnn`."""
    import flax.linen as nn
    import optax

    from dlcore.kernels.pool import max_pool
    from dlcore.models.apply import apply
    from dlcore.tasks import classification
    from dlcore.train.step import Objective

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any, *, train: bool = False, row: Any = None) -> Any:
            for width in (size.width, 2 * size.width):
                x = max_pool(nn.relu(nn.Conv(width, (3, 3))(x)))
            x = nn.relu(nn.Dense(size.hidden)(x.reshape(len(x), -1)))
            return nn.Dense(10)(x)

    net = Net()
    loss = classification.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["image"], key=key, train=train, row=b["row"]
        )
    )
    return Objective(loss, optax.adam(1e-3))


def dlcore(size: Size) -> Any:
    """Returns the step with `objective`."""
    from tests.benchmarks import ours

    _, x, label = given(size)
    return ours.training(
        {"net": objective(size)}, {"net": tree(size)}, {"image": x, "label": label}
    )


def flax_net(size: Size) -> Any:
    """Returns the network of Flax's MNIST example, with `nn.max_pool`."""
    import flax.linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for width in (size.width, 2 * size.width):
                x = nn.max_pool(nn.relu(nn.Conv(width, (3, 3))(x)), (2, 2), (2, 2))
            x = nn.relu(nn.Dense(size.hidden)(x.reshape(len(x), -1)))
            return nn.Dense(10)(x)

    return Net()


def flax(size: Size) -> Any:
    """Returns the step with `flax_net`."""
    import optax

    from tests.benchmarks import flaxed

    net = flax_net(size)

    def loss(params: Any, x: Any, label: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            net.apply({"params": params}, x), label
        ).mean()

    return flaxed.training(loss, tree(size), optax.adam(1e-3), *given(size)[1:])


def torch_parts(size: Size, channels_last: bool) -> Any:
    """Returns the network of `nn.Conv2d` and `nn.MaxPool2d`, images and labels.

    The first dense layer's kernel is permuted from Flax's order of inputs, [height, width, c].
    """
    import torch as pt
    from torch import nn

    from tests.benchmarks import torched

    layers, x, label = given(size)
    parts: list[Any] = []
    for kernel, bias in layers:
        part = (
            nn.Conv2d(*kernel.shape[2:], 3, padding=1)
            if kernel.ndim == 4
            else nn.Linear(*kernel.shape)
        )
        torched.fill(part.weight, kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
        torched.fill(part.bias, bias)
        parts.append(part)
    side, channels = size.side // 4, 2 * size.width
    rows = (
        layers[2][0]
        .reshape(side, side, channels, -1)
        .transpose(2, 0, 1, 3)
        .reshape(side * side * channels, -1)
    )
    torched.fill(parts[2].weight, rows.T)
    halve = lambda: [nn.ReLU(), nn.MaxPool2d(2)]  # noqa: E731
    net = nn.Sequential(
        parts[0], *halve(), parts[1], *halve(), nn.Flatten(), parts[2], nn.ReLU(), parts[3]
    )
    pixels, target = pt.tensor(x.transpose(0, 3, 1, 2).copy()), pt.tensor(label).long()
    if channels_last:
        net, pixels = (
            net.to(memory_format=pt.channels_last),
            pixels.to(memory_format=pt.channels_last),
        )
    return net, pixels, target


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `torch_parts`, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    net, pixels, target = torch_parts(size, channels_last)
    return torched.training(
        lambda: f.cross_entropy(net(pixels), target), pt.optim.Adam(net.parameters(), 1e-3)
    )


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
