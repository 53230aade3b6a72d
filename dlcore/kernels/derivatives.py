"""Backward passes written by hand, and derivatives of other kinds through the kernels that have
one.

A kernel with a backward pass of its own has reverse mode alone: `jax.jvp`, `jax.jacfwd`,
`jax.linearize` and `jax.hessian` through it are a TypeError of JAX. Inside

    with plain_derivatives(True):
        hessian = jax.hessian(loss)(params)

every kernel leaves its backward pass out, and JAX differentiates what the kernel computes, in any
mode and to any order. Values are the same. So are derivatives, but for more time and memory, and
without what a backward pass takes care of at the edges: huge arguments of `gelu`, equal maxima in
`max_pool`, infinite losses of `ctc_loss`, NaN under a mask. The setting is part of the key under
which `jax.jit` keeps its programs: a compiled function is traced again inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")

plain_derivatives = jax.make_user_context(False)


def with_backward(
    forward: Callable[..., Any], backward: Callable[..., Any], nondiff_argnums: Sequence[int] = ()
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a function with a backward pass of its own, which `plain_derivatives(True)` leaves
    out.

    Args:
        forward: from the function's arguments to its result, and what `backward` needs besides
        (`jax.custom_vjp.defvjp`). backward: from that and the cotangents of the result to those of
        the arguments. nondiff_argnums: arguments that are no arrays; `backward` takes them first.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        own = jax.custom_vjp(function, nondiff_argnums=tuple(nondiff_argnums))
        own.defvjp(forward, backward)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return (function if plain_derivatives.value else own)(*args, **kwargs)

        return call

    return decorate
