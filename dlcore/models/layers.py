"""Layers that several families of models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.errors import UsageError
from dlcore.kernels import norm, random
from dlcore.kernels.norm import layer_norm, rms_norm
from dlcore.sharding import check_whole_batch


def check_stages(widths: Sequence[int], blocks: Sequence[int]) -> None:
    """Checks that as many numbers of blocks as widths are given.

    Args:
        widths: channels of each stage.
        blocks: number of blocks of each stage.

    Raises:
        UsageError: they differ in number.
    """
    if len(widths) != len(blocks):
        raise UsageError(
            f"--widths gives {len(widths)} stages, --blocks {len(blocks)}: give as many of both"
        )


def check_halvings(sides: Sequence[int], stages: int) -> None:
    """Checks that images can be halved between the stages of a network.

    Args:
        sides: height and width.
        stages: number of stages; the image is halved between them.

    Raises:
        UsageError: 2^(stages - 1) does not divide the sides.
    """
    most = min((side & -side).bit_length() for side in sides)
    if stages > most:
        raise UsageError(
            f"--widths gives {stages} stages, and images of {' x '.join(map(str, sides))} can be"
            f" halved {most - 1} times: give {most} widths at most"
        )


class Dropout(nn.Module):
    """Applies dropout with masks that do not depend on the numbers of devices and microbatches.

    Maps x [batch, ...] to the same shape and dtype. It is called with each example's index in the
    global batch [batch], from which its mask over all its elements is drawn; with None for the
    index, as in evaluation, x is returned unchanged.

    Attributes:
        rate: probability of a 0, see `kernels.random.dropout`.
    """

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."], row: Integer[Array, " batch"] | None
    ) -> Float[Array, "batch ..."]:
        """Applies dropout to x [batch, ...].

        Args:
            x: [batch, ...].
            row: each example's index in the global batch [batch]; None, in evaluation, returns x
                itself.
        """
        if self.rate == 0 or row is None:
            return x
        return random.dropout(self.make_rng("dropout"), row, x, self.rate)


class LayerNorm(nn.Module):
    """Applies layer normalisation over the last axis, with a scale and a bias; keeps the shape.

    It computes `kernels.norm.layer_norm`.

    Attributes:
        eps: added to the variance.
    """

    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Normalises x [..., n]; returns the same shape and dtype."""
        n = x.shape[-1]
        scale, bias = _scale_and_bias(self, n)
        return norm.layer_norm(x, scale, bias, self.eps)


def _scale_and_bias(module: nn.Module, n: int) -> tuple[Array, Array]:
    """Parameters "scale" (ones) and "bias" (zeros), each [n].

    They are float32 also under x64, like the parameters of Flax's own layers.
    """
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    return module.param("scale", ones, (n,), jnp.float32), module.param(
        "bias", zeros, (n,), jnp.float32
    )


class BatchNorm(nn.Module):
    """Normalises over the global batch, however the step is parallelised (batch normalisation).

    Maps x [..., n] to the same shape and dtype; mean and variance are of each of the n features,
    over all other axes. Under jit the batch axis is global already; under shard_map and pmap the
    statistics are summed over the mesh axis "data" of the traced program. With `train` False it
    uses the running averages m <- momentum m + (1 - momentum) m_batch of mean and biased variance,
    which training keeps in the collection "batch_stats". There is no mask: padded positions enter
    the statistics like others. Training in microbatches is refused.

    Attributes:
        momentum: of the running averages.
        eps: added to the variance.

    Source: Ioffe & Szegedy 2015.
    """

    momentum: float = 0.9
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "*batch n"], train: bool) -> Float[Array, "*batch n"]:
        """Normalises x [..., n]; returns the same shape and dtype.

        Args:
            x: [..., n].
            train: use the statistics of the batch, and update the running averages.

        Raises:
            UsageError: the batch is divided into microbatches, whose statistics are others.
        """
        n, acc_dtype = x.shape[-1], jnp.promote_types(x.dtype, jnp.float32)
        scale, bias = _scale_and_bias(self, n)
        averages = [
            self.variable("batch_stats", name, f, (n,), jnp.float32)
            for name, f in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        if not train:
            mean, var = averages[0].value.astype(acc_dtype), averages[1].value.astype(acc_dtype)
            gain = jax.lax.rsqrt(var + self.eps) * scale
            y = x.astype(acc_dtype) * jnp.broadcast_to(gain, x.shape) + jnp.broadcast_to(
                bias - mean * gain, x.shape
            )
            return y.astype(x.dtype)
        check_whole_batch(
            "batch normalisation takes mean and variance of the whole batch, and would see those of"
            " a microbatch only",
            "or use another --norm, where the experiment has one",
        )
        per_device = [
            axis for axis in jax.sharding.get_abstract_mesh().manual_axes if axis == "data"
        ]
        y, *statistics = norm.batch_norm(
            x, scale, bias, self.eps, per_device[0] if per_device else None
        )
        for average, now in zip(averages, statistics, strict=True):
            average.value = self.momentum * average.value + (1 - self.momentum) * now.astype(
                average.value.dtype
            )
        return y


class StochasticDepth(nn.Module):
    """Stochastic depth: training sets a residual branch to 0 for some examples.

    The outputs of the other examples are divided by 1 - rate. It is called with x [batch, ...] and
    each example's index in the global batch [batch]; with None for the index, as in evaluation, x
    is returned unchanged.

    Attributes:
        rate: probability of a 0, see `kernels.random.drop_row`.

    Source: Huang et al. 2016.
    """

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."], row: Integer[Array, " batch"] | None
    ) -> Float[Array, "batch ..."]:
        """Applies stochastic depth to the outputs x [batch, ...] of a branch.

        Args:
            x: [batch, ...].
            row: each example's index in the global batch [batch]; None, in evaluation, returns x
                itself.
        """
        if self.rate == 0 or row is None:
            return x
        return random.drop_row(self.make_rng("dropout"), row, x, self.rate)


class Norm(nn.Module):
    """Applies layer or RMS normalisation over the last axis, with a scale; the shape is kept.

    Attributes:
        kind: "layer" or "rms".
        bias: whether layer normalisation has a bias; RMS normalisation has none.

    Source: Ba et al. 2016; Zhang & Sennrich 2019 for RMS.
    """

    kind: Literal["layer", "rms"] = "layer"
    bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Normalises x [..., n]; returns the same shape and dtype."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        if self.kind == "rms":
            return rms_norm(x, scale)
        zeros = nn.initializers.zeros
        bias = (
            self.param("bias", zeros, (x.shape[-1],), jnp.float32)
            if self.bias
            else jnp.zeros_like(scale)
        )
        return layer_norm(x, scale, bias)
