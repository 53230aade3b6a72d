"""Adaptive instance normalisation: pictures in styles that training never saw."""

from __future__ import annotations

import flax.linen as nn
import jax
from jax import Array

from dlcore.kernels.shuffle import depth_to_space

LAYER = "conv4_1"  # of `models.style.VGG`, whose activations are normalised


class Decoder(nn.Module):
    """Decodes activations of `style.VGG` to pictures of eight times their height and width.

    Called with activations of VGG's layer `LAYER` [batch, h, w, channels], it returns RGB
    [batch, 8 h, 8 w, 3] in [0, 1]. It enlarges by moving channels into pixels, where the original
    repeats pixels.

    Attributes:
        width: channels at a quarter of the picture's size; twice as many at an eighth, and a third
            at half.
    """

    width: int = 96

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Decodes activations.

        Args:
            x: [batch, h, w, channels].

        Returns:
            RGB [batch, 8 h, 8 w, 3] in [0, 1].
        """
        narrow = max(4, self.width // 3)
        x = _convolved(x, 2 * self.width, "in_eighth")
        x = depth_to_space(nn.Dense(4 * self.width, name="up_quarter")(x), 2)
        x = _convolved(x, self.width, "quarter_a")
        x = _convolved(x, self.width, "quarter_b")
        x = depth_to_space(nn.Dense(4 * narrow, name="up_half")(x), 2)
        x = _convolved(x, narrow, "half")
        return jax.nn.sigmoid(depth_to_space(nn.Conv(12, (3, 3), name="out")(x), 2))


def _convolved(x: Array, width: int, name: str) -> Array:
    """A 3x3 convolution and ReLU."""
    init = nn.initializers.he_normal()
    return jax.nn.relu(nn.Conv(width, (3, 3), kernel_init=init, name=name)(x))
