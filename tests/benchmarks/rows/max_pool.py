"""2x2 max-pooling alone, forward and gradient: 28x28 of 32 channels, batch 128."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 0.5}


class Size(NamedTuple):
    """Sizes: channels, image height, examples in a batch."""

    width: int = 32
    side: int = 28
    batch: int = 128


FULL, TINY = Size(), Size(4, 8, 8)


def given(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Draws images, and the gradient of each pooled value."""
    rng, (n, side, batch) = np.random.default_rng(0), size
    x = rng.normal(size=(batch, side, side, n)).astype(np.float32)
    return x, rng.uniform(size=(batch, side // 2, side // 2, n)).astype(np.float32)


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.pool.max_pool`."""
    from dlcore.kernels.pool import max_pool
    from tests.benchmarks import ours

    return ours.slope(lambda x, weight: (max_pool(x) * weight).mean(), *given(size))


def flax(size: Size) -> Any:
    """Returns the step with `nn.max_pool`."""
    import flax.linen as nn

    from tests.benchmarks import flaxed

    return flaxed.slope(
        lambda x, weight: (nn.max_pool(x, (2, 2), (2, 2)) * weight).mean(), *given(size)
    )


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `F.max_pool2d`, eager."""
    from torch.nn import functional as f

    from tests.benchmarks import torched

    x, weight = (torched.images(each, channels_last) for each in given(size))
    return torched.slope(lambda x: (f.max_pool2d(x, 2) * weight).mean(), x)


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
