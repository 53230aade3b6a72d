"""Recurrent networks: Elman, LSTM and GRU layers, in one direction or two, and a dense head."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Integer, Shaped

from dlcore.kernels import recurrent
from dlcore.models.layers import Dropout

Cell = Literal["elman", "lstm", "gru"]
GATES: dict[Cell, int] = {"elman": 1, "lstm": 4, "gru": 3}


def state_size(cell: Cell, width: int) -> int:
    """Returns the size of the state of one layer in one direction: h, and for an LSTM also c."""
    return 2 * width if cell == "lstm" else width


class Recurrent(nn.Module):
    """Runs one recurrent layer in one direction over inputs [length, batch, n], time first.

    It is called with the first state [batch, state] or None (zeros), too, and returns the outputs
    [length, batch, width] and the last state. The recurrent kernel of each gate is initialised to
    an orthogonal matrix.

    Attributes:
        cell: "elman", "lstm" or "gru".
        width: size of h.
        forget: initial bias of the gate that keeps the state (LSTM: forget; GRU: update); the cell
            "elman" has no gates and ignores `forget` and `memory`.
        memory: 0: `forget` is used. T > 0: the initial bias of that gate is log(u) instead, with
            u ~ U(1, T - 1), and that of the LSTM's input gate -log(u), so that units remember for 1
            to T steps.
        gain: factor of the orthogonal kernels.
        reverse: run from the last step to the first; outputs stay in the order of the inputs.

    Source: Saxe et al. 2014 (orthogonal); Jozefowicz et al. 2015 (forget); Tallec & Ollivier 2018,
    sec. 2 (memory).
    """

    cell: Cell
    width: int
    forget: float = 1.0
    memory: int = 0
    gain: float = 1.0
    reverse: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "length batch n"],
        carry: Float[Array, "batch state"] | None,
        mask: Shaped[Array, "length batch"] | None = None,
        truncation: int = 0,
    ) -> tuple[Float[Array, "length batch width"], Float[Array, "batch state"]]:
        """Runs the layer over time.

        Args:
            x: inputs [length, batch, n].
            carry: first state [batch, state]; None: zeros.
            mask: 0 at padding [length, batch], whose contents, even NaN, change no output and no
                gradient; None: no padding.
            truncation: steps of truncated backpropagation, see `kernels.recurrent`; 0: none.

        Returns:
            Outputs [length, batch, width]; last state [batch, state].
        """
        n, gates = self.width, GATES[self.cell]

        def orthogonal(key: Array, shape: tuple[int, int], dtype: DTypeLike = jnp.float32) -> Array:
            keys = jax.random.split(key, gates)
            return jnp.concatenate(
                [nn.initializers.orthogonal(self.gain)(k, (n, n), dtype) for k in keys], -1
            )

        kernel = self.param("kernel", orthogonal, (n, gates * n))
        # Not only in the gates: the gradient of the input kernel is x^T times theirs, and 0 times
        # NaN is NaN.
        if mask is not None:
            x = jnp.where(mask[:, :, None] > 0, x, 0)
        inputs = nn.Dense(gates * n, bias_init=self._bias, name="input")(x.reshape(-1, x.shape[-1]))
        inputs = inputs.reshape(*x.shape[:2], gates * n)
        if carry is None:
            carry = jnp.zeros((x.shape[1], state_size(self.cell, n)), inputs.dtype)
        if self.cell == "gru":
            bias = self.param("bias", nn.initializers.zeros, (n,), jnp.float32)
            return recurrent.gru(
                inputs, kernel, bias, carry, mask, reverse=self.reverse, truncation=truncation
            )
        return (recurrent.lstm if self.cell == "lstm" else recurrent.elman)(
            inputs, kernel, carry, mask, reverse=self.reverse, truncation=truncation
        )

    def _bias(self, key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        n, zero = self.width, jnp.zeros(self.width, dtype)
        keep = jnp.full(n, self.forget, dtype)
        if self.memory:
            keep = jnp.log(jax.random.uniform(key, (n,), dtype, 1, max(self.memory - 1, 1) + 1e-6))
        if self.cell == "lstm":
            return jnp.concatenate([-keep if self.memory else zero, keep, zero, zero])
        return jnp.concatenate([zero, keep, zero]) if self.cell == "gru" else zero


class RNN(nn.Module):
    """Runs layers of a recurrent cell, in one direction or two.

    Maps inputs [batch, length, n], batch first, to the outputs of the last layer [batch, length,
    width] and the last states [batch, scans, state]: layer by layer, and in each the forward one
    before the backward one. First states are given in the same order.

    Attributes:
        cell, width, forget, memory, gain: as of `Recurrent`.
        layers: number of layers.
        bidirectional: whether every layer also runs backwards, and the outputs of both directions
            are concatenated to [..., 2 width].
        dropout: rate of dropout between layers.
    """

    cell: Cell
    width: int
    layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    forget: float = 1.0
    memory: int = 0
    gain: float = 1.0

    @property
    def scans(self) -> int:
        """The number of states: layers times directions."""
        return self.layers * (1 + self.bidirectional)

    def start(self, batch: int) -> Float[Array, "batch scans state"]:
        """Returns states of zeros [batch, scans, state]."""
        return jnp.zeros((batch, self.scans, state_size(self.cell, self.width)))

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length n"],
        *,
        carry: Float[Array, "batch scans state"] | None = None,
        mask: Shaped[Array, "batch length"] | None = None,
        truncation: int = 0,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch length width"], Float[Array, "batch scans state"]]:
        """Runs all layers over time.

        Args:
            x: inputs [batch, length, n].
            carry: first states [batch, scans, state]; None: zeros.
            mask: 0 at padding [batch, length], which must come last; None: no padding.
            truncation: steps of truncated backpropagation, see `kernels.recurrent`; 0: none.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            Outputs of the last layer [batch, length, width (twice where bidirectional)]; last
            states [batch, scans, state].
        """
        directions = (False, True) if self.bidirectional else (False,)
        mask = None if mask is None else mask.T
        after: list[Array] = []
        x = x.swapaxes(0, 1)
        for layer in range(self.layers):
            outputs = []
            for reverse in directions:
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
    """Applies an RNN to vectors and a dense layer to its last output, or to all outputs.

    Maps [batch, length, n] to [batch, outputs], or with `every` to [batch, length, outputs]. The
    last output of a bidirectional RNN is that of each direction after it has read all steps.

    Attributes:
        rnn: the RNN.
        outputs: features of the dense layer.
        every: apply the dense layer to the output of every step.
    """

    rnn: RNN
    outputs: int
    every: bool = False

    def setup(self) -> None:
        """Creates the submodules."""
        self.head = nn.Dense(self.outputs)

    def __call__(
        self,
        x: Float[Array, "batch length n"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
        mask: Shaped[Array, "batch length"] | None = None,
    ) -> Float[Array, "batch outputs"] | Float[Array, "batch length outputs"]:
        """Computes [batch, outputs], or [batch, length, outputs] with `every`.

        Args:
            x: [batch, length, n].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
            mask: 0 at padding [batch, length], which must come last; the last output of an example
                is that of its last step without padding.
        """
        y, carry = self.rnn(x, train=train, row=row, mask=mask)
        if not self.every:  # the last state backwards is that of the first step
            return self.read(carry) if self.rnn.bidirectional else self.head(y[:, -1])
        return self.head(y.reshape(-1, y.shape[-1])).reshape(*y.shape[:2], -1)

    def advance(
        self, carry: Float[Array, "batch scans state"], x: Float[Array, "batch n"]
    ) -> Float[Array, "batch scans state"]:
        """Runs one step of a one-directional RNN: x [batch, n] -> states [batch, scans, state]."""
        return self.rnn(x[:, None], carry=carry)[1]

    def read(self, carry: Float[Array, "batch scans state"]) -> Float[Array, "batch outputs"]:
        """Computes the outputs [batch, outputs] of states [batch, scans, state]."""
        last = carry[:, -1 - self.rnn.bidirectional :, : self.rnn.width]
        return self.head(last.reshape(len(last), -1))
