"""The contender in PyTorch, eager; compiled where the worker says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

COMPILED = False


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` through `torch.compile`, for the contender of that name."""
    import torch

    return torch.compile(f) if COMPILED else f


def fill(parameter: Any, value: np.ndarray) -> None:
    """Set a parameter to an array of its shape."""
    import torch

    with torch.no_grad():
        parameter.copy_(torch.tensor(np.ascontiguousarray(value)))


def images(x: np.ndarray, channels_last: bool = False) -> Any:
    """[batch, height, width, c] as PyTorch has it: [batch, c, height, width] in one of two memory
    formats.
    """
    import torch

    found = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return found.to(memory_format=torch.channels_last) if channels_last else found


def conv(kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """A convolution of a kernel [height, width, in, out] that keeps the image's size."""
    from torch import nn

    layer = nn.Conv2d(
        *kernel.shape[2:], kernel.shape[:2], padding=kernel.shape[0] // 2, bias=bias is not None
    )
    fill(layer.weight, kernel.transpose(3, 2, 0, 1))
    if bias is not None:
        fill(layer.bias, bias)
    return layer


def linear(kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """A dense layer of a kernel [in, out]; without a bias given it is 0."""
    from torch import nn

    layer = nn.Linear(*kernel.shape)
    fill(layer.weight, kernel.T)
    fill(layer.bias, np.zeros(kernel.shape[1], np.float32) if bias is None else bias)
    return layer


def training(
    loss: Callable[[], Any], optimizer: Any, before: Callable[[], Any] = lambda: None
) -> Callable[[], Any]:
    """A step of `loss()`; `before` runs between the gradient and the update (clipping)."""
    loss = compiled(loss)

    def step() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        before()
        optimizer.step()
        return value.detach()

    return step


def slope(loss: Callable[[Any], Any], x: Any, *others: Any) -> Callable[[], Any]:
    """`loss(x)` with its gradients by x and by `others`."""
    leaves, loss = (x.requires_grad_(), *others), compiled(loss)

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        value = loss(x)
        value.backward()
        return value.detach()

    return step


def shuffled(kernel: np.ndarray) -> np.ndarray:
    """A layer's kernel [..., n] whose outputs `pixel_shuffle` by 2 spreads as depth_to_space does:
    channels before places.
    """
    return kernel.reshape(*kernel.shape[:-1], 4, -1).swapaxes(-1, -2).reshape(kernel.shape)


def unshuffled(kernel: np.ndarray) -> np.ndarray:
    """A kernel [height, width, n, out] for inputs that `pixel_unshuffle` by 2 made, not
    space_to_depth: channels before places.
    """
    height, width, _, out = kernel.shape
    return kernel.reshape(height, width, 4, -1, out).swapaxes(2, 3).reshape(kernel.shape)


def flattened(kernel: np.ndarray, places: tuple[int, int, int]) -> np.ndarray:
    """A kernel [n, out] whose n inputs are an image [height, width, c], for one that was flattened
    as [c, height, width].
    """
    return kernel.reshape(*places, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def layers(kernels: dict[str, np.ndarray], channels_last: bool) -> Any:
    """Convolutions and dense layers of these kernels, with biases of 0, by name."""
    from torch import channels_last as last
    from torch import nn

    made = {
        name: (conv if k.ndim == 4 else linear)(k, np.zeros(k.shape[-1], np.float32))
        for name, k in kernels.items()
    }
    return nn.ModuleDict(made).to(memory_format=last) if channels_last else nn.ModuleDict(made)
