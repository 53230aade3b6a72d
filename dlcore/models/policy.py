"""Policies: networks that map the frames of a camera to an action."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, Shaped

from dlcore.kernels.pool import max_pool
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.layers import Dropout, LayerNorm


class ConvPolicy(nn.Module):
    """Computes an action, one number, from the last frames by convolutions and a dense layer.

    Maps frames [batch, history, height, width, c], and optionally further inputs of the hidden
    layer [batch, n], to actions [batch]. Frames are concatenated along the channels, and padded
    with zeros until `patch` * 2^(len(widths) - 1) divides height and width. Layer normalisation and
    ReLU follow each 3x3 convolution, and max pooling halves height and width between them.

    Attributes:
        widths: channels of the convolutions.
        hidden: units of the hidden layer.
        patch: each block of patch x patch pixels becomes one position of the first convolution
            (space to depth).
        dropout: rate of dropout before and after the hidden layer; the further inputs are never
            dropped.
    """

    widths: Sequence[int]
    hidden: int
    patch: int = 4
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        frames: Float[Array, "batch history height width c"],
        numbers: Shaped[Array, "batch n"] | None = None,
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, " batch"]:
        """Computes the action.

        Args:
            frames: [batch, history, height, width, c]; zeros are added around those whose sides
                patch 2^(n - 1) does not divide, for n widths.
            numbers: further inputs of the hidden layer [batch, n]; None: none.
            train: whether dropout is active.
            row: each example's index [batch].

        Returns:
            Actions [batch].
        """
        row = row if train else None
        batch, history, height, width, channels = frames.shape
        x = jnp.moveaxis(frames, 1, 3).reshape(batch, height, width, history * channels)
        unit = self.patch * 2 ** (len(self.widths) - 1)
        lacking = [-side % unit for side in (height, width)]
        x = jnp.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)))
        x = space_to_depth(x, self.patch)
        kernel = nn.initializers.he_normal()
        for layer, size in enumerate(self.widths):
            x = max_pool(x) if layer else x
            x = nn.Conv(size, (3, 3), use_bias=False, kernel_init=kernel, name=f"conv_{layer}")(x)
            x = jax.nn.relu(LayerNorm(name=f"norm_{layer}")(x))
        x = Dropout(self.dropout)(x.reshape(batch, -1), row)
        if numbers is not None:
            x = jnp.concatenate([x, numbers.astype(x.dtype)], -1)
        x = jax.nn.relu(nn.Dense(self.hidden, kernel_init=kernel, name="hidden")(x))
        x = Dropout(self.dropout)(x, row)
        return nn.Dense(1, kernel_init=nn.initializers.zeros, name="action")(x)[:, 0]
