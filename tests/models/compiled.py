"""Flax modules whose methods are compiled as one program.

Without `jax.jit`, XLA compiles every operation of a module on its own, which takes most of the time
of a test. Equal modules are compiled once for each shape of the arguments: a test that intercepts
or replaces a part of a module needs a `jax.jit` of its own.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax


@functools.partial(
    jax.jit, static_argnums=0, static_argnames=("features", "method", "mutable", "train")
)
def apply(net: nn.Module, variables: Any, *args: Any, **kwargs: Any) -> Any:
    """Returns `net.apply(variables, *args, **kwargs)`."""
    return net.apply(variables, *args, **kwargs)


@functools.partial(jax.jit, static_argnums=0)
def init(net: nn.Module, key: jax.Array, *args: Any) -> Any:
    """Returns `net.init(key, *args)`."""
    return net.init(key, *args)
