"""Elman, LSTM and GRU over a sequence: the input's share is computed before the scan, the gradient
is written by hand.

All arrays are time-major. `gates` is what the input gives to each step, `x @ W + b` for all steps
in one product; a step then costs one product with the recurrent kernel. The gradient of a scan
would add up the kernel's gradient at every step; here the scan only carries what flows back through
time, and the kernel's gradient is one product over all steps (1.5 times as fast on CPU).

Common to the three: `mask` [length, batch], 0 where a sequence is padded: there the state is held,
and no gradient enters, whatever the padding contains. So the last state is that of each sequence's
own end, and with `reverse` the scan begins at that end. `cut` > 0: no gradient flows from step k *
cut, counted in the order of the scan, to the step before it, for every k: truncated backpropagation
(Williams & Peng 1990) in chunks that hand their state on. Sums are float32 at least; dtypes are
those of `gates`. Forward mode, and the hessian: inside `derivatives.plain_derivatives`, with `cut`
0.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import plain_derivatives, with_backward


def elman(
    gates: Array,
    kernel: Array,
    carry: Array,
    mask: Array | None = None,
    *,
    reverse: bool = False,
    cut: int = 0,
) -> tuple[Array, Array]:
    """h_t = tanh(gates_t + h_{t-1} kernel) (Elman 1990): the hidden states and the last one.

    gates [length, batch, n], kernel [n, n], carry h_0 [batch, n] -> [length, batch, n], [batch, n].
    ValueError: shapes that do not fit.
    """
    return _prepared(_elman, 1, 1, gates, (kernel,), carry, mask, reverse, cut)


def lstm(
    gates: Array,
    kernel: Array,
    carry: Array,
    mask: Array | None = None,
    *,
    reverse: bool = False,
    cut: int = 0,
) -> tuple[Array, Array]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000):
    hidden states, last state.

    i, f, g, o = gates_t + h_{t-1} kernel;  c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g);  h_t =
    sigmoid(o) tanh(c_t). gates [length, batch, 4n], kernel [n, 4n], carry (h_0, c_0) side by side
    [batch, 2n] -> [length, batch, n], [batch, 2n]. ValueError: shapes that do not fit.
    """
    return _prepared(_lstm, 4, 2, gates, (kernel,), carry, mask, reverse, cut)


def gru(
    gates: Array,
    kernel: Array,
    bias: Array,
    carry: Array,
    mask: Array | None = None,
    *,
    reverse: bool = False,
    cut: int = 0,
) -> tuple[Array, Array]:
    """Gated recurrent unit (Cho et al. 2014), the reset gate after the product, as cuDNN has it:
    hidden states and the last one.

    r, u, m = h_{t-1} kernel + (0, 0, bias), and gates_t = (a, b, d):  r = sigmoid(a + r), u =
    sigmoid(b + u), n = tanh(d + r m); h_t = (1 - u) n + u h_{t-1}.
    gates [length, batch, 3n], kernel [n, 3n], bias [n], carry h_0 [batch, n] -> [length, batch, n],
    [batch, n]. ValueError: shapes that do not fit.
    """
    return _prepared(_gru, 3, 1, gates, (kernel, bias), carry, mask, reverse, cut)


def _prepared(
    core: Any,
    gates_of: int,
    states: int,
    gates: Array,
    weights: tuple[Array, ...],
    carry: Array,
    mask: Any,
    reverse: bool,
    cut: int,
) -> tuple[Array, Array]:
    if cut and plain_derivatives.value:
        raise ValueError(
            f"cut {cut} is made by the backward pass, which plain_derivatives leaves out: take cut"
            " 0, or call it outside"
        )
    length, batch, features = gates.shape
    n = features // gates_of
    shapes = [x.shape for x in (*weights, carry)]
    if (
        shapes[0] != (n, features)
        or shapes[-1] != (batch, states * n)
        or shapes[1:-1] not in ([], [(n,)])
        or cut < 0
        or not length
    ):
        raise ValueError(
            f"gates {gates.shape} do not fit kernel, (bias and) carry {shapes}, or cut {cut} is"
            " below 0"
        )
    if mask is not None:
        if mask.shape != (length, batch):
            raise ValueError(f"a mask of {mask.shape} for {length} steps of {batch} sequences")
        mask = mask[:, :, None] > 0
        gates = jnp.where(mask, gates, 0)  # what stands in the padding may be anything, NaN too
    hidden, last = core(
        gates, weights, carry.astype(_accumulation_dtype(gates)), mask, reverse, cut
    )
    return hidden.astype(gates.dtype), last.astype(carry.dtype)


def _accumulation_dtype(x: Array) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)


def _dot(x: Array, kernel: Array) -> Array:
    """x kernel, multiplied in the kernel's dtype, summed in x's."""
    return jnp.dot(x.astype(kernel.dtype), kernel, preferred_element_type=x.dtype)


def _kernel_gradient(states: Array, first: Array, dz: Array, like: Array, reverse: bool) -> Array:
    """Sum over steps of (state before the step)^T dz, as one product."""
    before = _before(states, first, reverse).reshape(-1, states.shape[-1])
    return (before.T @ dz.reshape(-1, dz.shape[-1])).astype(like.dtype)


def _before(states: Array, first: Array, reverse: bool) -> Array:
    """The state before each step."""
    return jnp.concatenate([states[1:], first[None]] if reverse else [first[None], states[:-1]])


def _through(length: int, cut: int, reverse: bool, dtype: Any) -> Array | None:
    """[length]: 0 at the steps that begin a chunk, from which no gradient goes on; 1 elsewhere."""
    if not cut:
        return None
    through = (jnp.arange(length) % cut != 0).at[0].set(True).astype(dtype)
    return through[::-1] if reverse else through


def _held(mask: Array | None, new: Array, old: Array) -> Array:
    return new if mask is None else jnp.where(mask, new, old)


Saved = tuple[Any, ...]


def _elman_forward(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Any, Saved]:
    def step(h: Array, x: Any) -> tuple[Array, Array]:
        z, m = x
        h = _held(m, jnp.tanh(z + _dot(h, weights[0])), h)
        return h, h

    last, hidden = jax.lax.scan(step, carry, (gates, mask), reverse=reverse)
    return (hidden, last), (weights, carry, mask, hidden, jnp.zeros((), gates.dtype))


def _elman_backward(reverse: bool, cut: int, saved: Saved, dy: Any) -> tuple[Any, ...]:
    weights, carry, mask, hidden, like = saved
    back = weights[0].T

    def step(dh: Array, x: Any) -> tuple[Array, Array]:
        dy, h, m, through = x
        dh = dh + dy
        dz = _held(m, dh * (1 - h * h), jnp.zeros_like(dh))
        before = _dot(dz, back) if m is None else _dot(dz, back) + jnp.where(m, 0, dh)
        return before if through is None else before * through, dz

    through = _through(len(hidden), cut, reverse, hidden.dtype)
    first, dz = jax.lax.scan(step, dy[1], (dy[0], hidden, mask, through), reverse=not reverse)
    return (
        dz.astype(like.dtype),
        (_kernel_gradient(hidden, carry, dz, weights[0], reverse),),
        first,
        None,
    )


@with_backward(_elman_forward, _elman_backward, nondiff_argnums=(4, 5))
def _elman(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Array, Array]:
    return _elman_forward(gates, weights, carry, mask, reverse, cut)[0]


def _lstm_forward(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Any, Saved]:
    n = weights[0].shape[0]
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: all four gates are one tanh over one contiguous array.
    half = jnp.array([0.5, 0.5, 1, 0.5], carry.dtype).repeat(n)[None]
    # nothing enters, nothing is forgotten, nothing shows
    hold = jnp.array([0, 1, 0, 0], carry.dtype).repeat(n)[None]

    def step(state: Any, x: Any) -> tuple[Any, Any]:
        (h, c), (z, m) = state, x
        a = _held(m, jnp.tanh((z + _dot(h, weights[0])) * half) * half + (1 - half), hold)
        i, f, g, o = jnp.split(a, 4, -1)
        after = f * c + i * g
        h = o * jnp.tanh(after) if m is None else jnp.where(m, o * jnp.tanh(after), h)
        return (h, after), (h, c, a)

    (h, c), (hidden, before, a) = jax.lax.scan(
        step, (carry[:, :n], carry[:, n:]), (gates, mask), reverse=reverse
    )
    return (hidden, jnp.concatenate([h, c], -1)), (
        weights,
        carry,
        mask,
        hidden,
        before,
        a,
        jnp.zeros((), gates.dtype),
    )


def _lstm_backward(reverse: bool, cut: int, saved: Saved, dy: Any) -> tuple[Any, ...]:
    weights, carry, mask, hidden, before, a, like = saved
    back, n = weights[0].T, weights[0].shape[0]

    def step(state: Any, x: Any) -> tuple[Any, Array]:
        (dh, dc), (dy, c, a, m, through) = state, x
        i, f, g, o = jnp.split(a, 4, -1)
        t = jnp.tanh(f * c + i * g)
        dh = dh + dy
        dc = dc + dh * o * (1 - t * t)
        dz = jnp.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c * f * (1 - f),
                dc * i * (1 - g * g),
                dh * t * o * (1 - o),
            ],
            -1,
        )
        dh = _dot(dz, back) if m is None else _dot(dz, back) + jnp.where(m, 0, dh)
        dc = dc * f
        return (dh, dc) if through is None else (dh * through, dc * through), dz

    through = _through(len(hidden), cut, reverse, hidden.dtype)
    last = dy[1][:, :n], dy[1][:, n:]
    first, dz = jax.lax.scan(step, last, (dy[0], before, a, mask, through), reverse=not reverse)
    dkernel = _kernel_gradient(hidden, carry[:, :n], dz, weights[0], reverse)
    return dz.astype(like.dtype), (dkernel,), jnp.concatenate(first, -1), None


@with_backward(_lstm_forward, _lstm_backward, nondiff_argnums=(4, 5))
def _lstm(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Array, Array]:
    return _lstm_forward(gates, weights, carry, mask, reverse, cut)[0]


def _gru_forward(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Any, Saved]:
    kernel, bias = weights
    n = kernel.shape[0]

    def step(h: Array, x: Any) -> tuple[Array, Any]:
        z, m = x
        z, product = z.astype(h.dtype), _dot(h, kernel)
        s = jnp.tanh((z[:, : 2 * n] + product[:, : 2 * n]) * 0.5) * 0.5 + 0.5
        r, u = s[:, :n], _held(m, s[:, n:], jnp.ones_like(h))  # where u is 1 the state is held
        q = product[:, 2 * n :] + bias[None].astype(h.dtype)
        new = jnp.tanh(z[:, 2 * n :] + r * q)
        after = (1 - u) * new + u * h
        return after, (after, r, u, new, q)

    last, (hidden, *parts) = jax.lax.scan(step, carry, (gates, mask), reverse=reverse)
    return (hidden, last), (weights, carry, hidden, *parts, jnp.zeros((), gates.dtype))


def _gru_backward(reverse: bool, cut: int, saved: Saved, dy: Any) -> tuple[Any, ...]:
    (kernel, bias), carry, hidden, *parts, like = saved
    back, n = kernel.T, kernel.shape[0]
    before = _before(hidden, carry, reverse)

    def step(dh: Array, x: Any) -> tuple[Array, Any]:
        dy, h, r, u, new, q, through = x
        dh = dh + dy
        dnew = dh * (1 - u) * (1 - new * new)
        du, dr, dq = dh * (h - new) * u * (1 - u), dnew * q * r * (1 - r), dnew * r
        dh = _dot(jnp.concatenate([dr, du, dq], -1), back) + dh * u
        return dh if through is None else dh * through, (jnp.concatenate([dr, du, dnew], -1), dq)

    through = _through(len(hidden), cut, reverse, hidden.dtype)
    first, (dz, dq) = jax.lax.scan(
        step, dy[1], (dy[0], before, *parts, through), reverse=not reverse
    )
    flat = before.reshape(-1, n)
    dkernel = flat.T @ jnp.concatenate([dz[..., : 2 * n], dq], -1).reshape(-1, 3 * n)
    weights = dkernel.astype(kernel.dtype), dq.reshape(-1, n).sum(0).astype(bias.dtype)
    return dz.astype(like.dtype), weights, first, None


@with_backward(_gru_forward, _gru_backward, nondiff_argnums=(4, 5))
def _gru(
    gates: Array, weights: Any, carry: Array, mask: Any, reverse: bool, cut: int
) -> tuple[Array, Array]:
    return _gru_forward(gates, weights, carry, mask, reverse, cut)[0]
