"""A ResNet of eight layers with batch normalisation and max-pooling; 32x32, batch 128, SGD."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: channels of the stem, image height, examples in a batch."""

    width: int = 16
    side: int = 32
    batch: int = 128


FULL, TINY = Size(), Size(4, 8, 8)


def convolutions(size: Size) -> dict[str, tuple[int, int]]:
    """Returns {name: (channels in, channels out)} of the 3x3 convolutions."""
    n = size.width
    found = {"stem": (3, n)}
    for stage, channels in enumerate((2 * n, 4 * n)):
        found |= {f"stage_{stage}": (channels // 2, channels)}
        found |= {f"stage_{stage}_block_0/conv_{layer}": (channels, channels) for layer in range(2)}
    return found


def given(size: Size) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draws kernels by name, images and labels."""
    rng, shapes = (
        np.random.default_rng(0),
        {name: (3, 3, *both) for name, both in convolutions(size).items()},
    )
    shapes |= {"head": (4 * size.width, 10)}
    kernels = {
        name: rng.normal(0, (2 / np.prod(s[:-1])) ** 0.5, s).astype(np.float32)
        for name, s in shapes.items()
    }
    x = rng.normal(size=(size.batch, size.side, size.side, 3)).astype(np.float32)
    return kernels, x, rng.integers(0, 10, size.batch).astype(np.int32)


def tree(size: Size, what: str = "params") -> dict[str, Any]:
    """Returns "params" or "batch_stats" with the names of `models.resnet`."""
    kernels, found = given(size)[0], dict[str, Any]()
    for name, (_, channels) in convolutions(size).items():
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        own = {"norm": {"mean": zeros, "var": ones}}
        if what == "params":
            own = {"conv": {"kernel": kernels[name]}, "norm": {"scale": ones, "bias": zeros}}
        outer, _, inner = name.partition("/")
        found[outer] = {**found.get(outer, {}), inner: own} if inner else own
    return found | (
        {"head": {"kernel": kernels["head"], "bias": np.zeros(10, np.float32)}}
        if what == "params"
        else {}
    )


def dlcore(size: Size) -> Any:
    """Returns the step with `models.resnet.ResNet`."""
    import optax

    from dlcore.models.apply import apply
    from dlcore.models.resnet import ResNet
    from dlcore.tasks import classification
    from dlcore.train.step import Objective
    from tests.benchmarks import ours

    net = ResNet((2 * size.width, 4 * size.width), (1, 1), classes=10, stem=size.width)
    loss = classification.loss(
        lambda p, e, b, key, train: apply(
            net, "net", p, e, b["image"], key=key, train=train, row=b["row"]
        )
    )
    _, x, label = given(size)
    objectives, extra = (
        {"net": Objective(loss, optax.sgd(0.05, 0.9))},
        {"net": {"batch_stats": tree(size, "batch_stats")}},
    )
    return ours.training(objectives, {"net": tree(size)}, {"image": x, "label": label}, extra)


def flax(size: Size) -> Any:
    """Returns the step with `nn.Conv`, `nn.BatchNorm`, `nn.max_pool`."""
    import flax.linen as nn
    import optax

    from tests.benchmarks import flaxed

    class Conv(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(self.width, (3, 3), use_bias=False, name="conv")(x)
            return nn.relu(nn.BatchNorm(use_running_average=False, momentum=0.9, name="norm")(x))

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            width = x.shape[-1]
            return x + Conv(width, name="conv_1")(Conv(width, name="conv_0")(x))

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = Conv(size.width, name="stem")(x)
            for stage in range(2):
                x = Conv(2 * x.shape[-1], name=f"stage_{stage}")(nn.max_pool(x, (2, 2), (2, 2)))
                x = Block(name=f"stage_{stage}_block_0")(x)
            return nn.Dense(10, name="head")(x.mean((1, 2)))

    def loss(params: Any, stats: Any, x: Any, label: Any) -> Any:
        y, after = Net().apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
        return (
            optax.softmax_cross_entropy_with_integer_labels(y, label).mean(),
            after["batch_stats"],
        )

    stats, optimizer = tree(size, "batch_stats"), optax.sgd(0.05, 0.9)
    return flaxed.training(loss, tree(size), optimizer, *given(size)[1:], changing=stats)


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `nn.Conv2d`, `nn.BatchNorm2d`, `nn.MaxPool2d`, eager."""
    import torch as pt
    from torch import nn
    from torch.nn import functional as f

    from tests.benchmarks import torched

    kernels, x, label = given(size)
    parts = nn.ModuleDict()
    for name, (_, channels) in convolutions(size).items():
        parts[name] = nn.Sequential(
            torched.conv(kernels[name]), nn.BatchNorm2d(channels), nn.ReLU()
        )
    parts["head"] = torched.linear(kernels["head"])

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.parts = parts

        def forward(self, x: Any) -> Any:
            x = self.parts["stem"](x)
            for stage in range(2):
                x = self.parts[f"stage_{stage}"](f.max_pool2d(x, 2))
                inner = f"stage_{stage}_block_0/conv_"
                x = x + self.parts[f"{inner}1"](self.parts[f"{inner}0"](x))
            return self.parts["head"](x.mean((2, 3)))

    net, pixels, target = Net(), torched.images(x, channels_last), pt.tensor(label).long()
    if channels_last:
        net = net.to(memory_format=pt.channels_last)
    optimizer = pt.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    return torched.training(lambda: f.cross_entropy(net(pixels), target), optimizer)


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
