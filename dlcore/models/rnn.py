"""Recurrent networks: Elman, LSTM and GRU layers, one or two directions, over batches of
sequences.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels import recurrent
from dlcore.models.layers import Dropout
from dlcore.models.sampling import choose

Cell = Literal["elman", "lstm", "gru"]
GATES: dict[Cell, int] = {"elman": 1, "lstm": 4, "gru": 3}


def state_size(cell: Cell, width: int) -> int:
    """Numbers in the state of one layer and direction: h, and c beside it for an LSTM."""
    return 2 * width if cell == "lstm" else width


class Recurrent(nn.Module):
    """One layer in one direction. Recurrent kernels are orthogonal gate by gate (Saxe et al. 2014),
    times `gain`.

    The gate that keeps the state (LSTM: forget, GRU: update) starts with a bias of `forget`
    (Jozefowicz et al. 2015). With `memory` T it starts at log(u), u ~ U(1, T - 1), so that the
    units remember for 1 to T steps, and the LSTM's input gate at
    -log(u) (Tallec & Ollivier 2018, sec. 2).
    """

    cell: Cell
    width: int
    forget: float = 1.0
    memory: int = 0
    gain: float = 1.0
    reverse: bool = False

    @nn.compact
    def __call__(
        self, x: Array, carry: Array | None, mask: Array | None = None, truncation: int = 0
    ) -> tuple[Array, Array]:
        """x [length, batch, n], carry [batch, state] or zeros, mask [length, batch] -> [length,
        batch, width], the last carry.

        What stands where `mask` is 0 may be anything, NaN too: it reaches neither the outputs nor
        any gradient.
        """
        n, gates = self.width, GATES[self.cell]

        def orthogonal(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
            keys = jax.random.split(key, gates)
            return jnp.concatenate(
                [nn.initializers.orthogonal(self.gain)(k, (n, n), dtype) for k in keys], -1
            )

        kernel = self.param("kernel", orthogonal, (n, gates * n))
        # here and not in the gates alone: the input kernel's gradient is x^T times theirs, and 0
        # NaN is NaN
        if mask is not None:
            x = jnp.where(mask[:, :, None] > 0, x, 0)
        given = nn.Dense(gates * n, bias_init=self._bias, name="input")(x.reshape(-1, x.shape[-1]))
        given = given.reshape(*x.shape[:2], gates * n)
        if carry is None:
            carry = jnp.zeros((x.shape[1], state_size(self.cell, n)), given.dtype)
        if self.cell == "gru":
            bias = self.param("bias", nn.initializers.zeros, (n,), jnp.float32)
            return recurrent.gru(
                given, kernel, bias, carry, mask, reverse=self.reverse, truncation=truncation
            )
        return (recurrent.lstm if self.cell == "lstm" else recurrent.elman)(
            given, kernel, carry, mask, reverse=self.reverse, truncation=truncation
        )

    def _bias(self, key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        n, zero = self.width, jnp.zeros(self.width, dtype)
        keep = jnp.full(n, self.forget, dtype)
        if self.memory:
            keep = jnp.log(jax.random.uniform(key, (n,), dtype, 1, max(self.memory - 1, 1) + 1e-6))
        if self.cell == "lstm":
            return jnp.concatenate([-keep if self.memory else zero, keep, zero, zero])
        return jnp.concatenate([zero, keep, zero]) if self.cell == "gru" else zero


class RNN(nn.Module):
    """`layers` of a cell, each over what the one before it gave; with `both`, forwards and
    backwards side by side.
    """

    cell: Cell
    width: int
    layers: int = 1
    both: bool = False
    dropout: float = 0.0
    forget: float = 1.0
    memory: int = 0
    gain: float = 1.0

    @property
    def scans(self) -> int:
        """Layers times directions: how many states there are."""
        return self.layers * (1 + self.both)

    def start(self, batch: int) -> Array:
        """States of zeros, [batch, scans, state]."""
        return jnp.zeros((batch, self.scans, state_size(self.cell, self.width)))

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        carry: Array | None = None,
        mask: Array | None = None,
        truncation: int = 0,
        train: bool = False,
        row: Array | None = None,
    ) -> tuple[Array, Array]:
        """x [batch, length, n] -> outputs [batch, length, width (twice with both)], and the last
        states [batch, scans, state].

        `mask` [batch, length] is 0 on padding, which must come last. `truncation`: truncated
        backpropagation (kernels/recurrent.py).
        """
        ways = (False, True) if self.both else (False,)
        mask = None if mask is None else mask.T
        after: list[Array] = []
        x = x.swapaxes(0, 1)
        for layer in range(self.layers):
            outputs = []
            for reverse in ways:
                name = f"layer_{layer}{'_back' * reverse}"
                one = Recurrent(
                    self.cell, self.width, self.forget, self.memory, self.gain, reverse, name=name
                )
                output, last = one(
                    x, None if carry is None else carry[:, len(after)], mask, truncation
                )
                outputs.append(output)
                after.append(last)
            x = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, -1)
            if self.dropout and train and layer + 1 < self.layers:
                x = Dropout(self.dropout)(x.swapaxes(0, 1), row).swapaxes(0, 1)
        return x.swapaxes(0, 1), jnp.stack(after, 1)


class Reader(nn.Module):
    """An RNN over numbers, and a dense head on its last output, of both directions if it has two
    (`every`: on each output).
    """

    rnn: RNN
    outputs: int
    every: bool = False

    def setup(self) -> None:
        self.head = nn.Dense(self.outputs)

    def __call__(
        self, x: Array, *, train: bool = False, row: Array | None = None, mask: Array | None = None
    ) -> Array:
        """x [batch, length, n] -> [batch, outputs], or [batch, length, outputs]; of a padded
        sequence, its own last output.
        """
        y, carry = self.rnn(x, train=train, row=row, mask=mask)
        if not self.every:  # backwards, the last state is that of the first place
            return self.read(carry) if self.rnn.both else self.head(y[:, -1])
        return self.head(y.reshape(-1, y.shape[-1])).reshape(*y.shape[:2], -1)

    def advance(self, carry: Array, x: Array) -> Array:
        """One step: states [batch, scans, state] and x [batch, n] -> the states after it."""
        return self.rnn(x[:, None], carry=carry)[1]

    def read(self, carry: Array) -> Array:
        """What the head says of states: [batch, outputs]."""
        last = carry[:, -1 - self.rnn.both :, : self.rnn.width]
        return self.head(last.reshape(len(last), -1))


class CharRNN(nn.Module):
    """Logits of the next token: one-hot tokens through an RNN, and a dense layer."""

    rnn: RNN
    vocabulary: int

    @nn.compact
    def __call__(
        self,
        tokens: Array,
        *,
        carry: Array | None = None,
        truncation: int = 0,
        train: bool = False,
        row: Array | None = None,
    ) -> tuple[Array, Array]:
        """tokens [batch, length] -> logits [batch, length, vocabulary] and the last states.

        `truncation` is as in `RNN`.
        """
        # A product with one-hot rows is the embedding; on CPU its gradient is a product too, where
        # a gather's is a slow scatter.
        # They are exact in bfloat16, and take the kernel's dtype in the product.
        x = jax.nn.one_hot(tokens, self.vocabulary, dtype=jnp.bfloat16)
        y, carry = self.rnn(x, carry=carry, truncation=truncation, train=train, row=row)
        y = Dropout(self.rnn.dropout)(y, row if train else None)
        logits = nn.Dense(self.vocabulary, name="out")(y.reshape(-1, y.shape[-1]))
        return logits.reshape(*tokens.shape, self.vocabulary), carry


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6, 7))
def generate(
    net: CharRNN,
    params: Any,
    prompt: Array,
    key: Array,
    length: int,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Array:
    """Continue prompt [batch, some] by `length` tokens, in one compiled loop that hands the states
    on: [batch, some + length].

    ValueError: an empty prompt, a network that reads backwards too, or a temperature below 0.
    """
    if not prompt.shape[1] or net.rnn.both or temperature < 0:
        raise ValueError(
            "generation needs a prompt, a network of one direction, and a temperature of at least 0"
        )

    def one(state: Any, i: Array) -> Any:
        logits, carry = state
        token = choose(jax.random.fold_in(key, i), logits, temperature, top_k, top_p)
        logits, carry = net.apply({"params": params}, token[:, None], carry=carry)
        return (logits[:, 0], carry), token

    logits, carry = net.apply({"params": params}, prompt)
    _, tokens = jax.lax.scan(one, (logits[:, -1], carry), jnp.arange(length))
    return jnp.concatenate([prompt, tokens.T], 1)
