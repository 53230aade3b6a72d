"""The checksum of a state, computed on the devices and stored in its checkpoint."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.sharding import Tree


def checksum(tree: Tree) -> Array:
    """Computes two sums for each leaf of a tree, which detect changed and exchanged words.

    The words of a leaf are its elements of 1, 2 or 4 bytes as unsigned integers; an element of 8
    bytes is two words. The first sum is that of the leaf's words, the second that of the words
    mixed with their positions, both modulo 2^32. A flipped bit changes the first sum; an exchange
    of words changes the second, except with probability 2^-32.

    Args:
        tree: arrays of real numbers or bool; at least one.

    Returns:
        uint32 [leaves, 2], in the order of `jax.tree.leaves`.
    """

    def leaf(x: Array) -> Array:
        kind = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
        bits = x.astype(jnp.uint8) if x.dtype == bool else jax.lax.bitcast_convert_type(x, kind)
        words = bits.reshape(-1).astype(jnp.uint32)
        placed = words + jax.lax.iota(jnp.uint32, words.size) * jnp.uint32(0x9E3779B9)
        return jnp.stack([words.sum(dtype=jnp.uint32), _mixed(placed).sum(dtype=jnp.uint32)])

    return jnp.stack([leaf(x) for x in jax.tree.leaves(tree)])


def _mixed(x: Array) -> Array:
    """MurmurHash3's final mixing step, of uint32 words.

    A sum of words times positions would not do: exchanging neighbours x and -x may leave it
    unchanged.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


compiled_checksum = jax.jit(checksum)
