"""Linear recurrences with a constant complex diagonal, as in state-space models."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.derivatives import with_backward


def _recurrence(decay: Array, x: Array, reverse: bool) -> Array:
    if x.ndim != 3 or decay.shape != x.shape[-1:] or decay.shape[0] % 2:
        raise ValueError(
            f"a decay of {decay.shape} does not fit inputs of {x.shape}: [2n] and [length,"
            " batch, 2n]"
        )
    acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
    decay, x = decay.astype(acc_dtype), x.astype(acc_dtype)
    return jax.lax.platform_dependent(
        decay,
        x,
        cpu=lambda a, x: _stepwise(a, x, reverse),
        default=lambda a, x: _associative(a, x, reverse),
    )


def _stepwise(decay: Array, x: Array, reverse: bool) -> Array:
    real, imag = jnp.split(decay[None], 2, -1)

    def step(h: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        (re, im), (x_re, x_im) = h, jnp.split(x, 2, -1)
        h = real * re - imag * im + x_re, real * im + imag * re + x_im
        return h, jnp.concatenate(h, -1)

    zero = jnp.zeros((x.shape[1], x.shape[2] // 2), x.dtype)
    return jax.lax.scan(step, (zero, zero), x, reverse=reverse)[1]


def _associative(decay: Array, x: Array, reverse: bool) -> Array:
    """By an associative scan: the steps h -> a h + x and h -> b h + y compose to
    h -> (a b) h + (b x + y), and any bracketing of the composition gives the same prefixes.
    """
    length = len(x)

    def times(re: Array, im: Array, x_re: Array, x_im: Array) -> tuple[Array, Array]:
        return re * x_re - im * x_im, re * x_im + im * x_re

    def compose(first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
        shape = first[2].shape
        re, im, x_re, x_im = second
        h_re, h_im = times(
            jnp.broadcast_to(re, shape), jnp.broadcast_to(im, shape), first[2], first[3]
        )
        return *times(re, im, first[0], first[1]), h_re + x_re, h_im + x_im

    real, imag = (
        jnp.broadcast_to(part[None, None], (length, 1, part.shape[0]))
        for part in jnp.split(decay, 2)
    )
    parts = jax.lax.associative_scan(compose, (real, imag, *jnp.split(x, 2, -1)), reverse=reverse)
    return jnp.concatenate(parts[2:], -1)


def _forward(decay: Array, x: Array) -> tuple[Array, tuple[Array, ...]]:
    h = _recurrence(decay, x, False)
    return h.astype(x.dtype), (decay, h, jnp.zeros((), x.dtype))


def _backward(saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array]:
    decay, h, like = saved
    before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
    ddecay, dx = jax.lax.platform_dependent(
        decay, before, dy, cpu=_backward_stepwise, default=_backward_associative
    )
    return ddecay.astype(decay.dtype), dx.astype(like.dtype)


def _conjugate(z: Array) -> Array:
    real, imag = jnp.split(z, 2, -1)
    return jnp.concatenate([real, -imag], -1)


def _backward_associative(decay: Array, before: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients to `decay`, the sum of conj(h_{t-1}) dx_t, and to x."""
    dx = _associative(_conjugate(decay).astype(before.dtype), dy.astype(before.dtype), True)
    (h_re, h_im), (re, im) = jnp.split(before, 2, -1), jnp.split(dx, 2, -1)
    return (
        jnp.concatenate([(h_re * re + h_im * im).sum((0, 1)), (h_re * im - h_im * re).sum((0, 1))]),
        dx,
    )


def _backward_stepwise(decay: Array, before: Array, dy: Array) -> tuple[Array, Array]:
    """The same gradients in one pass over memory: each step adds its products to the sums."""
    real, imag = jnp.split(_conjugate(decay).astype(before.dtype)[None], 2, -1)

    def step(
        carry: tuple[Array, Array, Array, Array], x: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array, Array, Array], Array]:
        re, im, sum_re, sum_im = carry
        h_re, h_im = jnp.split(x[0], 2, -1)
        dy_re, dy_im = jnp.split(x[1].astype(re.dtype), 2, -1)
        re, im = real * re - imag * im + dy_re, real * im + imag * re + dy_im
        sum_re, sum_im = sum_re + h_re * re + h_im * im, sum_im + h_re * im - h_im * re
        return (re, im, sum_re, sum_im), jnp.concatenate([re, im], -1)

    zero = jnp.zeros((before.shape[1], before.shape[2] // 2), before.dtype)
    carry, dx = jax.lax.scan(step, (zero, zero, zero, zero), (before, dy), reverse=True)
    return jnp.concatenate([carry[2].sum(0), carry[3].sum(0)]), dx


@with_backward(_forward, _backward)
def diagonal_recurrence(
    decay: Float[Array, " n2"], x: Float[Array, "length batch n2"]
) -> Float[Array, "length batch n2"]:
    """Linear recurrence of complex states, elementwise: h_t = decay h_{t-1} + x_t, with h_0 = x_0.

    On accelerators it is an associative scan, log2(length) steps deep (Martin & Cundy 2018); on CPU
    it runs step by step, where the state stays in the processor's cache. The gradient is the same
    recurrence backwards in time with the conjugate of `decay`. Forward-mode derivatives: see
    `derivatives.plain_derivatives`.

    Args:
        decay: n real parts followed by n imaginary parts [2n].
        x: inputs [length, batch, 2n] in the same layout; summed in float32 or wider.

    Returns:
        States h_t [length, batch, 2n], dtype of `x`.

    Raises:
        ValueError: the shapes do not fit, or the last axis has an odd length.

    Source: Orvieto et al. 2023, eq. 1 with a diagonal A.
    """
    return _recurrence(decay, x, False).astype(x.dtype)
