"""Residual networks (He et al. 2016) in the short and wide form that trains fast on small images
(Page 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.pool import max_pool
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.cnn import Normalisation
from dlcore.models.layers import BatchNorm, StochasticDepth

Pool = Literal["before", "after"]


class Conv(nn.Module):
    """A 3x3 convolution, batch normalisation (or a bias), ReLU; halved by max pooling before or
    after the convolution.
    """

    width: int
    norm: Normalisation
    pool: Literal["none", "before", "after"] = "none"

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """x [batch, height, width, c] -> [batch, height, width, self.width], or half of both
        sides.
        """
        x = max_pool(x) if self.pool == "before" else x
        x = nn.Conv(
            self.width,
            (3, 3),
            kernel_init=nn.initializers.he_normal(),
            use_bias=self.norm == "none",
            name="conv",
        )(x)
        x = max_pool(x) if self.pool == "after" else x
        if self.norm == "batch":
            x = BatchNorm(name="norm")(x, train)
        return jax.nn.relu(x)


class Block(nn.Module):
    """x + two convolutions of x, which training skips with probability `drop`."""

    norm: Normalisation
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: Array, train: bool, row: Array | None) -> Array:
        """x [batch, height, width, c] -> the same."""
        y = x
        for layer in range(2):
            y = Conv(x.shape[-1], self.norm, name=f"conv_{layer}")(y, train)
        return x + StochasticDepth(self.drop)(y, row)


class ResNet(nn.Module):
    """A stem; stages that widen, halve the image, and add residual blocks; the mean over the image;
    logits.

    patch   the stem sees blocks of patch x patch pixels as one place of more channels: 2 makes all
            else four times cheaper
    stem    the stem's channels
    widths  each stage's channels
    blocks  each stage's residual blocks
    pool    stages halve the image before their first convolution, or after it, which costs four
            times as much and sees more
    drop    the last block is skipped with this probability, the ones before it less (Huang et al.
            2016, eq. 4)
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    classes: int
    stem: int = 64
    patch: int = 1
    pool: Pool = "before"
    norm: Normalisation = "batch"
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Any:
        """x [batch, height, width, c] -> logits [batch, classes]; zeros around an image that patch
        2^stages does not divide.

        Raises ValueError where widths and blocks differ in number.
        """
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"{len(self.widths)} widths and {len(self.blocks)} numbers of blocks: each stage"
                " needs both"
            )
        row, unit = row if train else None, self.patch * 2 ** len(self.widths)
        lacking = [-side % unit for side in x.shape[1:3]]
        around = [(each // 2, each - each // 2) for each in lacking]
        x = jnp.pad(x, ((0, 0), *around, (0, 0)))
        x = Conv(self.stem, self.norm, name="stem")(space_to_depth(x, self.patch), train)
        done, total = 0, sum(self.blocks)
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            x = Conv(width, self.norm, self.pool, name=f"stage_{stage}")(x, train)
            for block in range(count):
                done += 1
                x = Block(self.norm, self.drop * done / total, name=f"stage_{stage}_block_{block}")(
                    x, train, row
                )
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(
            x.mean((1, 2))
        )
