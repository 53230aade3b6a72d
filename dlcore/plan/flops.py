"""Counts the FLOPs of a function in its jaxpr, in which loops have known lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import jax
from jax.extend import core

from dlcore.sharding import Tree


def count(function: Callable[..., Tree], *args: Tree) -> int:
    """Counts the FLOPs of all dot products and convolutions of `function(*args)`.

    A multiplication and an addition are two FLOPs. A scan counts all iterations, a conditional its
    most expensive branch, a shard_map all devices, and a while loop, whose length is unknown, one
    iteration. Other operations are limited by memory traffic, and are not counted.

    Args:
        function: a function that JAX can trace.
        args: its arguments; shapes are enough.
    """
    return _of(jax.make_jaxpr(function)(*args).jaxpr)


def _of(jaxpr: core.Jaxpr) -> int:
    return sum(_equation(eqn) for eqn in jaxpr.eqns)


def _equation(eqn: core.JaxprEqn) -> int:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
        return _dot(eqn)
    if name == "conv_general_dilated":
        return _convolution(eqn)
    if name == "cond":
        return max(_of(branch.jaxpr) for branch in params["branches"])
    inner = sum(_of(each) for each in _inside(params))
    if name == "scan":
        return int(params["length"]) * inner
    if name == "shard_map":
        # since JAX 0.12; before
        axes = (
            params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]
        )
        return math.prod(params["mesh"].shape[axis] for axis in axes) * inner
    return inner


def _inside(params: Mapping[str, object]) -> Iterator[core.Jaxpr]:
    """The jaxprs among an equation's parameters, without the rules of custom derivatives."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if isinstance(inner, core.Jaxpr):
                yield inner


def _dot(eqn: core.JaxprEqn) -> int:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    left = _shape(eqn.invars[0])
    return 2 * math.prod(_shape(eqn.outvars[0])) * math.prod(left[i] for i in contracted)


def _convolution(eqn: core.JaxprEqn) -> int:
    """Two FLOPs for each output, tap and input channel, without taps on dilation zeros."""
    numbers, out = eqn.params["dimension_numbers"], _shape(eqn.outvars[0])
    kernel = _shape(eqn.invars[1])
    channels, taps = kernel[numbers.rhs_spec[1]], math.prod(kernel[i] for i in numbers.rhs_spec[2:])
    # In a transposed convolution only one in `dilation` taps has a nonzero input.
    return 2 * math.prod(out) * channels * taps // math.prod(eqn.params["lhs_dilation"])


def _shape(variable: core.Var | core.Literal) -> tuple[int, ...]:
    return variable.aval.shape  # type: ignore[attr-defined]
