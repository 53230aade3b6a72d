"""The checksum of a state, computed on the devices and kept inside its checkpoint."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def checksum(tree: Any) -> Array:
    """uint32 [leaves, 2]: for each leaf the sum of its words, and that of its words mixed with
    their places, modulo 2^32.

    Computed on the device, stored inside the checkpoint: any flipped bit between the device that
    saved and the device that restores changes the first sum, swapped words change the second (all
    but one in 2^32 times).
    """

    def leaf(x: Array) -> Array:
        kind = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
        bits = x.astype(jnp.uint8) if x.dtype == bool else jax.lax.bitcast_convert_type(x, kind)
        words = bits.reshape(-1).astype(jnp.uint32)
        placed = words + jax.lax.iota(jnp.uint32, words.size) * jnp.uint32(0x9E3779B9)
        return jnp.stack([words.sum(dtype=jnp.uint32), _mixed(placed).sum(dtype=jnp.uint32)])

    return jnp.stack([leaf(x) for x in jax.tree.leaves(tree)])


def _mixed(x: Array) -> Array:
    """MurmurHash3's last step. A sum of word times place would not do: it stays the same when
    neighbours x and -x are swapped.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


compiled_checksum = jax.jit(checksum)
