"""Hand-written backward passes, and other kinds of derivatives of the kernels that have one.

A kernel with a backward pass of its own supports reverse mode alone: `jax.jvp`, `jax.jacfwd`,
`jax.linearize` and `jax.hessian` through it raise JAX's TypeError. Inside

    with plain_derivatives(True):
        hessian = jax.hessian(loss)(params)

no kernel uses its backward pass, and JAX differentiates what the kernel computes, in any mode and
to any order. Values are the same. Derivatives are the same too, except at the edges that the
backward passes treat specially: huge arguments of `gelu`, equal maxima in `max_pool`, infinite
losses of `ctc_loss`, NaN under a mask. They take more time and memory. The setting is part of the
key under which `jax.jit` caches its programs, so a compiled function is traced again inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")

plain_derivatives = jax.make_user_context(False)


def with_backward(
    forward: Callable[..., tuple[T, object]],
    backward: Callable[..., tuple[object, ...]],
    nondiff_argnums: Sequence[int] = (),
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Returns a decorator that gives a function a hand-written backward pass.

    Inside `plain_derivatives(True)` the backward pass is not used.

    Args:
        forward: (arguments of the function) -> (its result, residuals), as in
            `jax.custom_vjp.defvjp`.
        backward: (arguments of `nondiff_argnums`, residuals, cotangents of the result) -> the
            cotangents of the other arguments.
        nondiff_argnums: indices of arguments that are not arrays.

    Returns:
        The decorator.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        differentiable = jax.custom_vjp(function, nondiff_argnums=tuple(nondiff_argnums))
        differentiable.defvjp(forward, backward)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return (function if plain_derivatives.value else differentiable)(*args, **kwargs)

        return call

    return decorate
