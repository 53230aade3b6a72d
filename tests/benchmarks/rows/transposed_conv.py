"""A 4x4 transposed convolution of stride 2, with gradients: 14x14x64 to 28x28x32, batch 64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 0.5}


class Size(NamedTuple):
    """Sizes: channels of the output (half those of the input), height of the input, batch."""

    width: int = 32
    side: int = 14
    batch: int = 64


FULL, TINY = Size(), Size(4, 4, 8)


def given(size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws inputs, the gradient of the output, and a kernel [4, 4, channels in, channels out]."""
    rng, (n, side, batch) = np.random.default_rng(0), size
    x = rng.normal(size=(batch, side, side, 2 * n)).astype(np.float32)
    weight = rng.uniform(size=(batch, 2 * side, 2 * side, n)).astype(np.float32)
    return x, weight, rng.normal(0, (8 * n) ** -0.5, (4, 4, 2 * n, n)).astype(np.float32)


def dlcore(size: Size) -> Any:
    """Returns the step with `kernels.conv.transposed_conv`."""
    from dlcore.kernels.conv import transposed_conv
    from tests.benchmarks import ours

    x, weight, kernel = given(size)
    return ours.slope(
        lambda x, weight, kernel: (transposed_conv(x, kernel, 2) * weight).mean(),
        x,
        weight,
        shared=kernel,
    )


def flax(size: Size) -> Any:
    """Returns the step with `jax.lax.conv_transpose`, which `nn.ConvTranspose` calls."""
    import jax

    from tests.benchmarks import flaxed

    def loss(x: Any, weight: Any, kernel: Any) -> Any:
        y = jax.lax.conv_transpose(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return (y * weight).mean()

    x, weight, kernel = given(size)
    return flaxed.slope(loss, x, weight, shared=kernel)


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `F.conv_transpose2d`, eager; its kernel is JAX's, flipped."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    x, weight, kernel = given(size)
    own = torched.images(kernel[::-1, ::-1].transpose(2, 0, 1, 3), channels_last).requires_grad_()
    pixels, weights = (torched.images(each, channels_last) for each in (x, weight))
    assert isinstance(own, pt.Tensor)
    return torched.slope(
        lambda x: (f.conv_transpose2d(x, own, stride=2, padding=1) * weights).mean(), pixels, own
    )


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
