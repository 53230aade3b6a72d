"""FLOPs of a function, counted where the loops still have their lengths: in its jaxpr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count(function: Callable[..., Any], *args: Any) -> int:
    """FLOPs of all dots and convolutions of `function(*args)`, two for a product and its sum;
    `args` may be abstract.

    A scan counts its body as often as it runs, a conditional its dearest branch, a shard_map its
    body on every device. A while loop, whose end is not known before, counts once. Everything else
    (sums, norms, activations) is left to the memory's time.
    """
    return _of(jax.make_jaxpr(function)(*args).jaxpr)


def _of(jaxpr: Any) -> int:
    return sum(_equation(eqn) for eqn in jaxpr.eqns)


def _equation(eqn: Any) -> int:
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


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters; the rules of a custom derivative are functions,
    and not met here.
    """
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                yield inner


def _dot(eqn: Any) -> int:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    left = eqn.invars[0].aval.shape
    return 2 * math.prod(eqn.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)


def _convolution(eqn: Any) -> int:
    """Two FLOPs for each number of the output, tap and input channel; taps that fall on zeros
    between dilated inputs do no work.
    """
    numbers, out = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape
    kernel = eqn.invars[1].aval.shape
    channels, taps = kernel[numbers.rhs_spec[1]], math.prod(kernel[i] for i in numbers.rhs_spec[2:])
    # Of a transposed convolution only one tap in `dilation` meets a number.
    return 2 * math.prod(out) * channels * taps // math.prod(eqn.params["lhs_dilation"])
