"""Residual networks (He et al. 2016), short and wide as in Page 2018, for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.pool import max_pool
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.cnn import Normalisation
from dlcore.models.layers import BatchNorm, StochasticDepth, check_stages

Pool = Literal["before", "after"]


class Conv(nn.Module):
    """Applies a 3x3 convolution, batch normalisation (or a bias) and ReLU; pools where requested.

    Maps x [batch, height, width, c] to [batch, height, width, self.width], or half of height and
    width with pooling.

    Attributes:
        width: output channels.
        norm: "batch", or "none" for a bias.
        pool: where 2x2 max pooling is applied: "before" or "after" the convolution, or "none".
    """

    width: int
    norm: Normalisation
    pool: Literal["none", "before", "after"] = "none"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width c"], train: bool
    ) -> Float[Array, "batch h w n"]:
        """Maps images to [batch, height, width, self.width]; pooling halves height and width.

        Args:
            x: [batch, height, width, c].
            train: whether batch statistics are those of the batch.
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
    """Applies a residual block: x [batch, height, width, c] + two `Conv`s of x; keeps the shape.

    It is called with x, `train` for the batch statistics, and each example's index [batch] (None:
    nothing is skipped).

    Attributes:
        norm: as of `Conv`.
        drop: probability with which training skips the convolutions of an example.
    """

    norm: Normalisation
    drop: float = 0.0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        train: bool,
        row: Integer[Array, " batch"] | None,
    ) -> Float[Array, "batch height width c"]:
        """Maps x [batch, height, width, c] to the same shape; `row` [batch] turns skipping on."""
        y = x
        for layer in range(2):
            y = Conv(x.shape[-1], self.norm, name=f"conv_{layer}")(y, train)
        return x + StochasticDepth(self.drop)(y, row)


class ResNet(nn.Module):
    """Applies a stem, stages of residual blocks, the mean over the image and a dense layer.

    Maps images [batch, height, width, c] of any size to logits [batch, classes]. Every stage, the
    first one too, begins with a convolution with 2x2 max pooling, which halves height and width.

    Attributes:
        widths: channels of each stage.
        blocks: number of residual blocks of each stage.
        classes: number of classes; 0: the result is the mean over the image [batch, widths[-1]].
        stem: channels of the stem.
        patch: blocks of patch x patch pixels become one pixel of more channels before the stem; 2
            makes all later layers four times cheaper.
        pool: "before": a stage pools before its first convolution; "after": after it, which costs
            four times as much and keeps more detail.
        norm: as of `Conv`.
        drop: probability of skipping the last of n blocks; block i, from 1, has drop * i / n.

    Source: He et al. 2016; Page 2018; Huang et al. 2016, eq. 4 for `drop`.
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
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch n"]:
        """Computes logits [batch, classes], or features [batch, widths[-1]] without classes.

        Args:
            x: images [batch, height, width, c]; zeros are added around an image whose height or
                width patch 2^stages does not divide.
            train: whether blocks are skipped and batch statistics are those of the batch.
            row: each example's index in the global batch [batch], for the keys of skipping.

        Raises:
            UsageError: widths and blocks differ in number.
        """
        check_stages(self.widths, self.blocks)
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
        x = x.mean((1, 2))
        if not self.classes:
            return x
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(x)
