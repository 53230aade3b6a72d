"""Autoencoders with a code of any kind, and convolutional encoders and decoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from dlcore.kernels.activations import gelu
from dlcore.kernels.shuffle import depth_to_space, space_to_depth


class Autoencoder(nn.Module):
    """An encoder, a function of the code, and a decoder.

    Called with x [batch, ...], it returns decoder(code) and the code = between(encoder(x)), each
    [batch, ...].

    Attributes:
        encoder: maps x to what `between` takes.
        decoder: maps the code to the reconstruction of x.
        between: maps the encoder's output to the code, such as a quantisation; by default the
            identity.

    Source: Hinton & Salakhutdinov 2006.
    """

    encoder: nn.Module
    decoder: nn.Module
    between: Callable[[Array], Array] = lambda code: code

    def __call__(
        self, x: Float[Array, "batch ..."]
    ) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]:
        """Computes the reconstruction and the code, each [batch, ...], of x [batch, ...]."""
        code = self.encode(x)
        return self.decode(code), code

    def encode(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Computes the code [batch, ...], after `between`, of x [batch, ...]."""
        return self.between(self.encoder(x))

    def decode(self, code: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Computes the reconstruction [batch, ...] of a code [batch, ...]."""
        return self.decoder(code)


class ConvEncoder(nn.Module):
    """Levels of 3x3 convolutions; each level first halves height and width (space to depth).

    n levels map images [batch, height, width, c] to [batch, height / 2^n, width / 2^n, widths[-1]].

    Attributes:
        widths: channels of each level.
        depth: number of convolutions of each level.
        activation: after each convolution.
    """

    widths: Sequence[int]
    depth: int = 1
    activation: Callable[[Array], Array] = gelu

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width c"]) -> Float[Array, "batch h w n"]:
        """Encodes images x [batch, height, width, c]; 2^n divides height and width for n levels.

        Returns:
            [batch, height / 2^n, width / 2^n, widths[-1]] for n levels.
        """
        for width in self.widths:
            x = space_to_depth(x, 2)
            for _ in range(self.depth):
                x = self.activation(
                    nn.Conv(width, (3, 3), kernel_init=nn.initializers.he_normal())(x)
                )
        return x


class ConvDecoder(nn.Module):
    """Doubles height and width n times, by 3x3 convolutions and depth to space at each of n levels.

    It maps x [batch, h, w, c] to [batch, h 2^n, w 2^n, channels].

    Attributes:
        widths: one number per level: channels of its convolutions except the last, whose result
            after depth to space has the number of the next level, or `channels` after the last
            level. The first number is best c; with a depth of 1 it is ignored.
        channels: of the result.
        depth: number of convolutions of each level, at least 1.
        activation: after each convolution but the last of the last level.

    Source: Shi et al. 2016 for depth to space.
    """

    widths: Sequence[int]
    channels: int = 1
    depth: int = 1
    activation: Callable[[Array], Array] = gelu

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"]) -> Float[Array, "batch height width n"]:
        """Decodes x [batch, h, w, c] to [batch, h 2^n, w 2^n, channels] for n levels."""
        kernel = nn.initializers.he_normal()
        for width, after in zip(self.widths, (*self.widths[1:], 0), strict=True):
            for _ in range(self.depth - 1):
                x = self.activation(nn.Conv(width, (3, 3), kernel_init=kernel)(x))
            x = depth_to_space(
                nn.Conv(4 * (after or self.channels), (3, 3), kernel_init=kernel)(x), 2
            )
            x = self.activation(x) if after else x
        return x
