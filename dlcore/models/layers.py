"""Layers that several families share."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels import norm, random
from dlcore.kernels.norm import layer_norm, rms_norm


class Dropout(nn.Module):
    """Dropout with one mask a row (`kernels.random.dropout`), the same for any number of devices
    and microbatches.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, row: Array | None) -> Array:
        """x [batch, ...]; `row` [batch] when training, None in evaluation (then x itself)."""
        if self.rate == 0 or row is None:
            return x
        return random.dropout(self.make_rng("dropout"), row, x, self.rate)


class LayerNorm(nn.Module):
    """Layer normalisation (`kernels.norm.layer_norm`) with a scale and a bias."""

    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [..., n] -> the same."""
        n = x.shape[-1]
        scale, bias = _scale_and_bias(self, n)
        return norm.layer_norm(x, scale, bias, self.eps)


def _scale_and_bias(module: nn.Module, n: int) -> tuple[Array, Array]:
    """Parameters of ones and of zeros [n], in float32 also under x64, as Flax's own layers have
    them.
    """
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    return module.param("scale", ones, (n,), jnp.float32), module.param(
        "bias", zeros, (n,), jnp.float32
    )


class BatchNorm(nn.Module):
    """Batch normalisation (`kernels.norm.batch_norm`) over the global batch, also where the step
    runs per device.

    Under jit the batch axis is global already. Under shard_map and pmap the trace itself says which
    axes are per device. Evaluation uses running averages, m <- momentum m + (1 - momentum) batch.
    Padding counts: masks do not reach in here.
    """

    momentum: float = 0.9
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """x [..., n] -> the same; `train` uses the batch's own statistics and moves the
        averages.
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
    """A residual branch that training leaves out, example by example (`kernels.random.drop_row`;
    Huang et al. 2016).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, row: Array | None) -> Array:
        """x [batch, ...]; `row` [batch] when training, None in evaluation (then x itself)."""
        if self.rate == 0 or row is None:
            return x
        return random.drop_row(self.make_rng("dropout"), row, x, self.rate)


class Norm(nn.Module):
    """Layer normalisation, or by the root mean square, with a scale and by default no bias."""

    kind: Literal["layer", "rms"] = "layer"
    bias: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
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
