"""Helpers of the contenders in PyTorch, eager or, where `COMPILED` is set, by `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

COMPILED = False


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `f`, compiled by `torch.compile` where `COMPILED` is set."""
    import torch

    return torch.compile(f) if COMPILED else f


def fill(parameter: Any, value: np.ndarray) -> None:
    """Sets a parameter to an array of its shape."""
    import torch

    with torch.no_grad():
        parameter.copy_(torch.tensor(np.ascontiguousarray(value)))


def images(x: np.ndarray, channels_last: bool = False) -> Any:
    """Converts images [batch, height, width, c] to a tensor [batch, c, height, width].

    Args:
        x: the images.
        channels_last: use PyTorch's memory format of that name.
    """
    import torch

    found = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return found.to(memory_format=torch.channels_last) if channels_last else found


def conv(kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """Returns a convolution with a kernel [height, width, in, out] and zero padding ("same")."""
    from torch import nn

    layer = nn.Conv2d(
        *kernel.shape[2:], kernel.shape[:2], padding=kernel.shape[0] // 2, bias=bias is not None
    )
    fill(layer.weight, kernel.transpose(3, 2, 0, 1))
    if bias is not None:
        fill(layer.bias, bias)
    return layer


def linear(kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """Returns a dense layer with a kernel [in, out] and a bias [out]; None: 0."""
    from torch import nn

    layer = nn.Linear(*kernel.shape)
    fill(layer.weight, kernel.T)
    fill(layer.bias, np.zeros(kernel.shape[1], np.float32) if bias is None else bias)
    return layer


def training(
    loss: Callable[[], Any], optimizer: Any, before: Callable[[], Any] = lambda: None
) -> Callable[[], Any]:
    """Returns a training step, which returns the loss.

    Args:
        loss: () -> the loss.
        optimizer: of PyTorch.
        before: is called between gradient and update, to clip gradients.
    """
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
    """Returns a step that computes `loss(x)` and its gradients by x and `others`."""
    leaves, loss = (x.requires_grad_(), *others), compiled(loss)

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        value = loss(x)
        value.backward()
        return value.detach()

    return step


def first(function: Callable[..., Any], *data: Any) -> Callable[[], Any]:
    """Returns a step that computes `function(*data)`, without gradients, and returns its first."""
    import torch

    function = compiled(function)

    def step() -> Any:
        with torch.no_grad():
            return function(*data)[0]

    return step


def shuffled(kernel: np.ndarray) -> np.ndarray:
    """Permutes the outputs of a kernel [..., n] from the order of depth_to_space to PyTorch's.

    `pixel_shuffle` by 2 reads channel 4 k + 2 i + j where depth_to_space reads (2 i + j) n / 4 + k.
    """
    return kernel.reshape(*kernel.shape[:-1], 4, -1).swapaxes(-1, -2).reshape(kernel.shape)


def unshuffled(kernel: np.ndarray) -> np.ndarray:
    """Permutes the inputs of a kernel [height, width, n, out] for `pixel_unshuffle` by 2.

    They are in the order of space_to_depth before; the orders differ as in `shuffled`.
    """
    height, width, _, out = kernel.shape
    return kernel.reshape(height, width, 4, -1, out).swapaxes(2, 3).reshape(kernel.shape)


def flattened(kernel: np.ndarray, places: tuple[int, int, int]) -> np.ndarray:
    """Permutes the inputs of a kernel [height width c, out] to the order [c, height, width].

    Args:
        kernel: [n, out].
        places: height, width and c.
    """
    return kernel.reshape(*places, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def layers(kernels: dict[str, np.ndarray], channels_last: bool) -> Any:
    """Returns an `nn.ModuleDict` of convolutions and dense layers, with biases of 0.

    Args:
        kernels: {name: kernel}; 4-dimensional ones are of convolutions.
        channels_last: use PyTorch's memory format of that name.
    """
    from torch import channels_last as last
    from torch import nn

    made = {
        name: (conv if k.ndim == 4 else linear)(k, np.zeros(k.shape[-1], np.float32))
        for name, k in kernels.items()
    }
    return nn.ModuleDict(made).to(memory_format=last) if channels_last else nn.ModuleDict(made)
