"""Autoencoders: dense ones with a code of any kind, and the halves of convolutional ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.kernels.shuffle import depth_to_space, space_to_depth


class Autoencoder(nn.Module):
    """An encoder and a decoder (Hinton & Salakhutdinov 2006), with something done to the code
    between them.
    """

    encoder: nn.Module
    decoder: nn.Module
    between: Callable[[Array], Array] = lambda code: code

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """x [batch, ...] -> what the decoder makes of the code, and the code itself."""
        code = self.encode(x)
        return self.decode(code), code

    def encode(self, x: Array) -> Array:
        """x [batch, ...] -> code [batch, ...]."""
        return self.between(self.encoder(x))

    def decode(self, code: Array) -> Array:
        """code [batch, ...] -> [batch, ...]."""
        return self.decoder(code)


class ConvEncoder(nn.Module):
    """Images to maps of a quarter of their size: each width is a step down by two, `depth` 3x3
    convolutions in each.
    """

    widths: Sequence[int]
    depth: int = 1
    activation: Callable[[Array], Array] = gelu

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [batch, height, width, c] -> [batch, height / 2^n, width / 2^n, widths[-1]] for n
        widths.
        """
        for width in self.widths:
            x = space_to_depth(x, 2)
            for _ in range(self.depth):
                x = self.activation(
                    nn.Conv(width, (3, 3), kernel_init=nn.initializers.he_normal())(x)
                )
        return x


class ConvDecoder(nn.Module):
    """The way back: `depth` 3x3 convolutions of each width, the last of which shuffles channels
    into pixels (Shi et al. 2016).
    """

    widths: Sequence[int]
    channels: int = 1
    depth: int = 1
    activation: Callable[[Array], Array] = gelu

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [batch, h, w, c] -> [batch, h 2^n, w 2^n, channels] for n widths."""
        kernel = nn.initializers.he_normal()
        for width, after in zip(self.widths, (*self.widths[1:], 0), strict=True):
            for _ in range(self.depth - 1):
                x = self.activation(nn.Conv(width, (3, 3), kernel_init=kernel)(x))
            x = depth_to_space(
                nn.Conv(4 * (after or self.channels), (3, 3), kernel_init=kernel)(x), 2
            )
            x = self.activation(x) if after else x
        return x
