"""Layers that several families share."""

from __future__ import annotations

import flax.linen as nn
import jax
from jax import Array

from dlcore.kernels import random


class Dropout(nn.Module):
    """Dropout with one mask a row (`kernels.random.dropout`), the same for any number of devices and microbatches."""

    rate: float

    @nn.compact
    def __call__(self, x: Array, row: Array | None) -> Array:
        """x [batch, ...]; `row` [batch] when training, None in evaluation (then x itself)."""
        if self.rate == 0 or row is None:
            return x
        return random.dropout(self.make_rng("dropout"), row, x, self.rate)


def batch_norm(train: bool, momentum: float = 0.9) -> nn.BatchNorm:
    """Batch normalisation (Ioffe & Szegedy 2015) over the global batch, also where the step runs per device.

    Under jit the batch axis is global already. Under shard_map and pmap the trace itself says which axes are per device.
    """
    per_device = [axis for axis in jax.sharding.get_abstract_mesh().manual_axes if axis == "data"]
    return nn.BatchNorm(use_running_average=not train, momentum=momentum, axis_name=per_device[0] if per_device else None)
