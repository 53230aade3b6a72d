"""A detector without anchors: a residual network, a feature pyramid, and heads on its finest map.

After CenterNet (Zhou et al. 2019), FCOS (Tian et al. 2019) and feature pyramids (Lin et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.errors import UsageError
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.layers import check_stages

_PRIOR = 0.01  # the heat with which training starts (Lin et al. 2017, sec. 4.1)
_SIDE = 2.0  # cells from a cell's middle to each side of its box, with which training starts
_LARGEST = 6.0  # of the logarithm of a distance in cells: e^6 cells are larger than any image


def check(
    canvas: tuple[int, int], widths: Sequence[int], blocks: Sequence[int], patch: int
) -> None:
    """Checks the sizes of a `Pyramid` against the canvas.

    Args:
        canvas: width and height in pixels.
        widths, blocks, patch: of the `Pyramid`.

    Raises:
        UsageError: `widths` and `blocks` differ in length, or the stride of the last stage, patch *
            2^(stages - 1) pixels, does not divide width and height.
    """
    check_stages(widths, blocks)
    unit = patch * 2 ** (len(widths) - 1)
    for name, side in zip(("width", "height"), canvas, strict=True):
        if side % unit:
            raise UsageError(
                f"--{name} {side} does not divide by {unit}, the stride of the last stage: give"
                f" {(side // unit + 1) * unit}"
            )


class ConvNorm(nn.Module):
    """Applies a 3x3 convolution and group normalisation (Wu & He 2018), without an activation.

    Maps x [batch, h, w, c] to [batch, h, w, width]: stride 1, zeros around the borders, no bias
    before the normalisation.

    Attributes:
        width: channels of the result.
        groups: largest number of groups of the normalisation; gcd(groups, width) are used, so that
            they divide the channels.
    """

    width: int
    groups: int = 8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x [batch, h, w, c] to [batch, h, w, width]."""
        x = nn.Conv(self.width, (3, 3), use_bias=False, name="conv")(x)
        return nn.GroupNorm(math.gcd(self.groups, self.width), name="norm")(x)


class Block(nn.Module):
    """A residual block: relu(x + two convolutions of x), of the shape of x [batch, h, w, c].

    Attributes:
        groups: largest number of groups of the normalisation, see `ConvNorm`.
    """

    groups: int = 8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x [batch, h, w, c] to the same shape."""
        width = x.shape[-1]
        y = jax.nn.relu(ConvNorm(width, self.groups, name="conv_0")(x))
        return jax.nn.relu(x + ConvNorm(width, self.groups, name="conv_1")(y))


class Pyramid(nn.Module):
    """A feature pyramid: features at stride `patch`, to which those of coarser stages are added.

    It maps images [batch, height, width, c] to the finest map alone, [batch, height / patch,
    width / patch, widths[0]].

    Attributes:
        widths: channels of each stage; a stage has half the height and width of the one before.
        blocks: residual blocks of each stage.
        patch: pixels of a cell of the first stage along each axis.
        groups: largest number of groups of the normalisation, see `ConvNorm`.
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    patch: int = 4
    groups: int = 8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x [batch, height, width, c] to [batch, height / patch, width / patch, widths[0]].

        Raises:
            UsageError: widths and blocks differ in number.
            ValueError: the stride of the last stage, patch * 2^(stages - 1), does not divide height
                and width.
        """
        check_stages(self.widths, self.blocks)
        x = space_to_depth(x, self.patch)
        x = jax.nn.relu(ConvNorm(self.widths[0], self.groups, name="stem")(x))
        stages = []
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            if stage:
                x = nn.Dense(width, name=f"down_{stage}")(space_to_depth(x, 2))
            for block in range(count):
                x = Block(self.groups, name=f"stage_{stage}_block_{block}")(x)
            stages.append(x)
        for stage, fine in reversed([*enumerate(stages[:-1])]):
            width = fine.shape[-1]
            coarse = nn.Dense(width, name=f"up_{stage}")(x)
            coarse = jnp.repeat(jnp.repeat(coarse, 2, 1), 2, 2)
            x = jax.nn.relu(ConvNorm(width, self.groups, name=f"merge_{stage}")(fine + coarse))
        return x


class CentreDetector(nn.Module):
    """Predicts, for each cell, whether it is the centre of an object of each class, and its box.

    It maps images [batch, height, width, c] to [batch, height / patch, width / patch, classes + 4]:
    the logits of the classes, then the distances in pixels from the cell's centre to the left, top,
    right and bottom of the box.

    Attributes:
        widths, blocks, patch, groups: of the `Pyramid`; `patch` is the stride of the maps.
        classes: number of classes.
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    classes: int
    patch: int = 4
    groups: int = 8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Computes the maps of images.

        Args:
            x: [batch, height, width, c].

        Returns:
            [batch, height / patch, width / patch, classes + 4]: a logit for each class, and the
            distances from the cell's centre to the left, top, right and bottom of its box, in
            pixels, above 0. Of at least float32, also where `x` is bfloat16, which would round the
            logarithm of a distance of 100 pixels by up to 0.8 %.

        Raises:
            UsageError, ValueError: as `Pyramid`.
        """
        acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
        x = Pyramid(self.widths, self.blocks, self.patch, self.groups, name="pyramid")(x)
        heat = jax.nn.relu(ConvNorm(self.widths[0], self.groups, name="heat")(x))
        side = jax.nn.relu(ConvNorm(self.widths[0], self.groups, name="side")(x))
        small = nn.initializers.normal(0.01)
        prior = nn.initializers.constant(-math.log((1 - _PRIOR) / _PRIOR))
        begin = nn.initializers.constant(math.log(_SIDE))
        logits = nn.Dense(self.classes, kernel_init=small, bias_init=prior, name="classes")(heat)
        sides = nn.Dense(4, dtype=acc_dtype, kernel_init=small, bias_init=begin, name="sides")
        distances = self.patch * jnp.exp(jnp.minimum(sides(side), _LARGEST))
        return jnp.concatenate([logits.astype(acc_dtype), distances], -1)
