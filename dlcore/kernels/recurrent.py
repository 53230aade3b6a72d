"""Elman, LSTM and GRU layers over a sequence, with hand-written gradients.

All arrays are time-major. `gates` is the contribution of the inputs, `x @ W + b`, computed for all
steps in one product; a step then costs one product with the recurrent kernel. The gradient of a
plain scan would add up the kernel's gradient at every step; here the backward scan only carries the
gradient of the state, and the kernel's gradient is one product over all steps (1.5 times as fast on
CPU).

Arguments that the three layers share:

- mask: [length, batch], 0 where a sequence is padded. There the state does not change and no
  gradient flows, whatever the padding contains. So the last state is that of each sequence's own
  end, and with `reverse` the scan starts at that end.
- reverse: scan from the last step to the first.
- truncation: if above 0, truncated backpropagation (Williams & Peng 1990): no gradient flows from
  step k * truncation, counted in the order of the scan, to the step before it, for every k.

Sums are computed in float32 or wider; results have the dtype of `gates`, last states that of
`carry`. Forward-mode derivatives and Hessians work inside `derivatives.plain_derivatives`, where a
truncation raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Shaped

from dlcore.kernels.derivatives import plain_derivatives, with_backward


def elman(
    gates: Float[Array, "length batch n"],
    kernel: Float[Array, "n n"],
    carry: Float[Array, "batch n"],
    mask: Shaped[Array, "length batch"] | None = None,
    *,
    reverse: bool = False,
    truncation: int = 0,
) -> tuple[Float[Array, "length batch n"], Float[Array, "batch n"]]:
    """Runs an Elman network: h_t = tanh(gates_t + h_{t-1} kernel).

    Args:
        gates: contribution of the inputs [length, batch, n].
        kernel: recurrent kernel [n, n].
        carry: first state h_0 [batch, n].
        mask: 0 at padding, where the state does not change; None: no padding.
        reverse, truncation: scan from the last step; truncated backpropagation (see the module).

    Returns:
        Hidden states [length, batch, n], dtype of `gates`; last state [batch, n], that of `carry`.

    Raises:
        ValueError: shapes do not fit, no steps, `truncation` below 0 or in `plain_derivatives`.

    Source: Elman 1990.
    """
    return _scan(_elman, 1, 1, gates, (kernel,), carry, mask, reverse, truncation)


def lstm(
    gates: Float[Array, "length batch n4"],
    kernel: Float[Array, "n n4"],
    carry: Float[Array, "batch n2"],
    mask: Shaped[Array, "length batch"] | None = None,
    *,
    reverse: bool = False,
    truncation: int = 0,
) -> tuple[Float[Array, "length batch n"], Float[Array, "batch n2"]]:
    """Runs a long short-term memory with a forget gate.

    i, f, g, o = gates_t + h_{t-1} kernel; c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g);
    h_t = sigmoid(o) tanh(c_t).

    Args:
        gates: contribution of the inputs [length, batch, 4n].
        kernel: recurrent kernel [n, 4n].
        carry: first state, h_0 and c_0 concatenated [batch, 2n].
        mask: 0 at padding, where the state does not change; None: no padding.
        reverse, truncation: scan from the last step; truncated backpropagation (see the module).

    Returns:
        Hidden states h_t [length, batch, n], dtype of `gates`; last state (h, c) [batch, 2n], that
        of `carry`.

    Raises:
        ValueError: shapes do not fit, no steps, `truncation` below 0 or in `plain_derivatives`.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000 for the forget gate.
    """
    return _scan(_lstm, 4, 2, gates, (kernel,), carry, mask, reverse, truncation)


def gru(
    gates: Float[Array, "length batch n3"],
    kernel: Float[Array, "n n3"],
    bias: Float[Array, " n"],
    carry: Float[Array, "batch n"],
    mask: Shaped[Array, "length batch"] | None = None,
    *,
    reverse: bool = False,
    truncation: int = 0,
) -> tuple[Float[Array, "length batch n"], Float[Array, "batch n"]]:
    """Runs a gated recurrent unit, with the reset gate applied after the product, as in cuDNN.

    With (p, q, m) = h_{t-1} kernel + (0, 0, bias) and gates_t = (a, b, d): r = sigmoid(a + p),
    u = sigmoid(b + q), c = tanh(d + r m); h_t = (1 - u) c + u h_{t-1}.

    Args:
        gates: contribution of the inputs [length, batch, 3n].
        kernel: recurrent kernel [n, 3n].
        bias: recurrent bias of the candidate state [n].
        carry: first state h_0 [batch, n].
        mask: 0 at padding, where the state does not change; None: no padding.
        reverse, truncation: scan from the last step; truncated backpropagation (see the module).

    Returns:
        Hidden states [length, batch, n], dtype of `gates`; last state [batch, n], that of `carry`.

    Raises:
        ValueError: shapes do not fit, no steps, `truncation` below 0 or in `plain_derivatives`.

    Source: Cho et al. 2014.
    """
    return _scan(_gru, 3, 1, gates, (kernel, bias), carry, mask, reverse, truncation)


Weights = tuple[Array, ...]  # the recurrent kernel, and the bias of a GRU
Layer = tuple[Array, Array]  # hidden states [length, batch, n], last state; or their cotangents
Gradients = tuple[Array, Weights, Array, None]  # of gates, weights, carry and mask


def _scan(
    core: Callable[[Array, Weights, Array, Array | None, bool, int], Layer],
    gate_count: int,
    state_count: int,
    gates: Array,
    weights: Weights,
    carry: Array,
    mask: Array | None,
    reverse: bool,
    truncation: int,
) -> tuple[Array, Array]:
    """Checks the shapes, clears the padding and runs `core`."""
    if truncation and plain_derivatives.value:
        raise ValueError(
            f"truncation {truncation} is part of the backward pass, which plain_derivatives does"
            " not use: set truncation to 0, or call it outside of plain_derivatives"
        )
    length, batch, features = gates.shape
    n = features // gate_count
    shapes = [x.shape for x in (*weights, carry)]
    if (
        shapes[0] != (n, features)
        or shapes[-1] != (batch, state_count * n)
        or shapes[1:-1] not in ([], [(n,)])
        or truncation < 0
        or not length
    ):
        raise ValueError(
            f"gates {gates.shape} do not fit kernel, (bias and) carry {shapes}, or truncation"
            f" {truncation} is below 0"
        )
    if mask is not None:
        if mask.shape != (length, batch):
            raise ValueError(f"a mask of {mask.shape} for {length} steps of {batch} sequences")
        mask = mask[:, :, None] > 0
        gates = jnp.where(mask, gates, 0)  # the padding may contain anything, even NaN
    start = carry.astype(jnp.promote_types(gates.dtype, jnp.float32))
    hidden, last = core(gates, weights, start, mask, reverse, truncation)
    return hidden.astype(gates.dtype), last.astype(carry.dtype)


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


def _truncation_mask(length: int, truncation: int, reverse: bool, dtype: jnp.dtype) -> Array | None:
    """[length]: 0 at the first step of each chunk, where the gradient stops; 1 elsewhere."""
    if not truncation:
        return None
    passes = (jnp.arange(length) % truncation != 0).at[0].set(True).astype(dtype)
    return passes[::-1] if reverse else passes


def _where(mask: Array | None, x: Array, otherwise: Array) -> Array:
    return x if mask is None else jnp.where(mask, x, otherwise)


Step = tuple[Array, Array | None]  # gates and mask of one step
ElmanSaved = tuple[Weights, Array, Array | None, Array, Array]
LSTMSaved = tuple[Weights, Array, Array | None, Array, Array, Array, Array]
GRUSaved = tuple[Weights, Array, Array, Array, Array, Array, Array, Array]


def _elman_forward(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Layer, ElmanSaved]:
    def step(h: Array, x: Step) -> tuple[Array, Array]:
        z, m = x
        h = _where(m, jnp.tanh(z + _dot(h, weights[0])), h)
        return h, h

    last, hidden = jax.lax.scan(step, carry, (gates, mask), reverse=reverse)
    return (hidden, last), (weights, carry, mask, hidden, jnp.zeros((), gates.dtype))


def _elman_backward(reverse: bool, truncation: int, saved: ElmanSaved, dy: Layer) -> Gradients:
    weights, carry, mask, hidden, like = saved
    back = weights[0].T

    def step(dh: Array, x: tuple[Array, Array, Array | None, Array | None]) -> Layer:
        dy, h, m, keep = x
        dh = dh + dy
        dz = _where(m, dh * (1 - h * h), jnp.zeros_like(dh))
        before = _dot(dz, back) if m is None else _dot(dz, back) + jnp.where(m, 0, dh)
        return before if keep is None else before * keep, dz

    passes = _truncation_mask(len(hidden), truncation, reverse, hidden.dtype)
    first, dz = jax.lax.scan(step, dy[1], (dy[0], hidden, mask, passes), reverse=not reverse)
    dkernel = _kernel_gradient(hidden, carry, dz, weights[0], reverse)
    return dz.astype(like.dtype), (dkernel,), first, None


@with_backward(_elman_forward, _elman_backward, nondiff_argnums=(4, 5))
def _elman(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Array, Array]:
    return _elman_forward(gates, weights, carry, mask, reverse, truncation)[0]


def _lstm_forward(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Layer, LSTMSaved]:
    n = weights[0].shape[0]
    # sigmoid(z) = tanh(z / 2) / 2 + 1/2: one tanh over one contiguous array computes all gates.
    half = jnp.array([0.5, 0.5, 1, 0.5], carry.dtype).repeat(n)[None]
    # Gates that leave the cell unchanged: input 0, forget 1, output 0.
    closed = jnp.array([0, 1, 0, 0], carry.dtype).repeat(n)[None]

    def step(state: Layer, x: Step) -> tuple[Layer, tuple[Array, Array, Array]]:
        (h, c), (z, m) = state, x
        a = _where(m, jnp.tanh((z + _dot(h, weights[0])) * half) * half + (1 - half), closed)
        i, f, g, o = jnp.split(a, 4, -1)
        after = f * c + i * g
        h = o * jnp.tanh(after) if m is None else jnp.where(m, o * jnp.tanh(after), h)
        return (h, after), (h, c, a)

    (h, c), (hidden, before, a) = jax.lax.scan(
        step, (carry[:, :n], carry[:, n:]), (gates, mask), reverse=reverse
    )
    saved = (weights, carry, mask, hidden, before, a, jnp.zeros((), gates.dtype))
    return (hidden, jnp.concatenate([h, c], -1)), saved


def _lstm_backward(reverse: bool, truncation: int, saved: LSTMSaved, dy: Layer) -> Gradients:
    weights, carry, mask, hidden, before, a, like = saved
    back, n = weights[0].T, weights[0].shape[0]

    def step(
        state: Layer, x: tuple[Array, Array, Array, Array | None, Array | None]
    ) -> tuple[Layer, Array]:
        (dh, dc), (dy, c, a, m, keep) = state, x
        i, f, g, o = jnp.split(a, 4, -1)
        t = jnp.tanh(f * c + i * g)
        dh = dh + dy
        dc = dc + dh * o * (1 - t * t)
        of_cell = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g)]
        dz = jnp.concatenate([*of_cell, dh * t * o * (1 - o)], -1)
        dh = _dot(dz, back) if m is None else _dot(dz, back) + jnp.where(m, 0, dh)
        dc = dc * f
        return (dh, dc) if keep is None else (dh * keep, dc * keep), dz

    passes = _truncation_mask(len(hidden), truncation, reverse, hidden.dtype)
    last = dy[1][:, :n], dy[1][:, n:]
    first, dz = jax.lax.scan(step, last, (dy[0], before, a, mask, passes), reverse=not reverse)
    dkernel = _kernel_gradient(hidden, carry[:, :n], dz, weights[0], reverse)
    return dz.astype(like.dtype), (dkernel,), jnp.concatenate(first, -1), None


@with_backward(_lstm_forward, _lstm_backward, nondiff_argnums=(4, 5))
def _lstm(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Array, Array]:
    return _lstm_forward(gates, weights, carry, mask, reverse, truncation)[0]


def _gru_forward(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Layer, GRUSaved]:
    kernel, bias = weights
    n = kernel.shape[0]

    def step(h: Array, x: Step) -> tuple[Array, tuple[Array, ...]]:
        z, m = x
        z, product = z.astype(h.dtype), _dot(h, kernel)
        s = jnp.tanh((z[:, : 2 * n] + product[:, : 2 * n]) * 0.5) * 0.5 + 0.5
        r, u = s[:, :n], _where(m, s[:, n:], jnp.ones_like(h))  # where u is 1 the state stays
        q = product[:, 2 * n :] + bias[None].astype(h.dtype)
        new = jnp.tanh(z[:, 2 * n :] + r * q)
        after = (1 - u) * new + u * h
        return after, (after, r, u, new, q)

    last, (hidden, r, u, new, q) = jax.lax.scan(step, carry, (gates, mask), reverse=reverse)
    return (hidden, last), (weights, carry, hidden, r, u, new, q, jnp.zeros((), gates.dtype))


def _gru_backward(reverse: bool, truncation: int, saved: GRUSaved, dy: Layer) -> Gradients:
    (kernel, bias), carry, hidden, r, u, new, q, like = saved
    back, n = kernel.T, kernel.shape[0]
    before = _before(hidden, carry, reverse)

    def step(dh: Array, x: tuple[tuple[Array, ...], Array | None]) -> tuple[Array, Layer]:
        (dy, h, r, u, new, q), keep = x
        dh = dh + dy
        dnew = dh * (1 - u) * (1 - new * new)
        du, dr, dq = dh * (h - new) * u * (1 - u), dnew * q * r * (1 - r), dnew * r
        dh = _dot(jnp.concatenate([dr, du, dq], -1), back) + dh * u
        return dh if keep is None else dh * keep, (jnp.concatenate([dr, du, dnew], -1), dq)

    passes = _truncation_mask(len(hidden), truncation, reverse, hidden.dtype)
    steps = ((dy[0], before, r, u, new, q), passes)
    first, (dz, dq) = jax.lax.scan(step, dy[1], steps, reverse=not reverse)
    flat = before.reshape(-1, n)
    dkernel = flat.T @ jnp.concatenate([dz[..., : 2 * n], dq], -1).reshape(-1, 3 * n)
    weights = dkernel.astype(kernel.dtype), dq.reshape(-1, n).sum(0).astype(bias.dtype)
    return dz.astype(like.dtype), weights, first, None


@with_backward(_gru_forward, _gru_backward, nondiff_argnums=(4, 5))
def _gru(
    gates: Array, weights: Weights, carry: Array, mask: Array | None, reverse: bool, truncation: int
) -> tuple[Array, Array]:
    return _gru_forward(gates, weights, carry, mask, reverse, truncation)[0]
