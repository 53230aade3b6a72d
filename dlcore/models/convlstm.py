"""Networks that predict the next frames of a video: a ConvLSTM, and one without recurrence.

Both work on blocks of `patch` x `patch` pixels, which become channels (Shi et al. 2015, sec. 4.1).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.models.layers import LayerNorm

Carry = tuple[tuple[Array, Array], ...]  # (cell, hidden) of each layer, [batch, h, w, width]


class ConvLSTMCell(nn.Module):
    """A long short-term memory whose products are convolutions (Shi et al. 2015, eq. 3).

    Called with the state (cell, hidden), [batch, h, w, width] each, and an input [batch, h, w, c],
    it returns the next state and its hidden part. It has no connections from the cell to the gates,
    and the bias of its forget gate starts at 1.

    Attributes:
        width: channels of the state.
        kernel: height and width of the convolution.
    """

    width: int
    kernel: int = 3

    @nn.compact
    def __call__(self, state: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        """Advances the state by one frame.

        Args:
            state: cell and hidden state, [batch, h, w, width] each.
            x: input [batch, h, w, c].

        Returns:
            The next state, and its hidden part.
        """
        cell, hidden = state
        # patches and one matrix product: inside a loop XLA's convolution is several times slower
        # on CPU, its gradient above all
        patches = _patches(jnp.concatenate([x, hidden], -1), self.kernel)
        gates = nn.Dense(4 * self.width, name="gates")(patches)
        into, forget, out, new = jnp.split(gates, 4, -1)
        # a forget gate that begins open: Jozefowicz et al. 2015
        cell = jax.nn.sigmoid(forget + 1) * cell + jax.nn.sigmoid(into) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(out) * jnp.tanh(cell)
        return (cell, hidden), hidden


def _patches(x: Array, size: int) -> Array:
    """The `size` x `size` neighbours of each pixel, zeros outside: [batch, h, w, size^2 c]."""
    h, w = x.shape[1:3]
    low, high = (size - 1) // 2, size // 2
    padded = jnp.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(size) for j in range(size)]
    return jnp.concatenate(shifted, -1)


class _Step(nn.Module):
    """All layers for one frame: the carry, and the blocks of the next frame."""

    widths: tuple[int, ...]
    kernel: int

    @nn.compact
    def __call__(self, carry: Carry, blocks: Array) -> tuple[Carry, Array]:
        x, after = blocks, []
        for layer, (width, state) in enumerate(zip(self.widths, carry, strict=True)):
            state, x = ConvLSTMCell(width, self.kernel, name=f"cell_{layer}")(state, x)
            after.append(state)
        joined = jnp.concatenate([hidden for _, hidden in after], -1)
        # what changes is added to the frame, so that an untrained network copies it
        change = nn.Conv(blocks.shape[-1], (1, 1), kernel_init=nn.initializers.zeros)(joined)
        return tuple(after), blocks + change


class ConvLSTM(nn.Module):
    """Predicts the next frames of a video: reads the frames one by one, then its own predictions.

    It maps a video [batch, frames, h, w, c] to the frames after it [batch, frames_out, h, w, c].
    Each prediction is the frame before plus a change, which is 0 before training.

    Attributes:
        frames_out: number of frames that are predicted.
        widths: channels of each layer.
        kernel: height and width of the convolutions.
        patch: height and width of a block in pixels; divides height and width of the frames.
    """

    frames_out: int
    widths: tuple[int, ...] = (64, 64)
    kernel: int = 3
    patch: int = 4

    @nn.compact
    def __call__(self, video: Array) -> Array:
        """Predicts what follows.

        Args:
            video: pixels [batch, frames, h, w, c] in [0, 1].

        Returns:
            [batch, frames_out, h, w, c]; not limited to [0, 1].
        """
        blocks = _blocks(video, self.patch)
        step = _Step(self.widths, self.kernel, name="step")
        batch, _, h, w, _ = blocks.shape
        carry = tuple((jnp.zeros((batch, h, w, n), video.dtype),) * 2 for n in self.widths)

        def encode(step: nn.Module, carry: Any, x: Array) -> tuple[Any, Array]:
            return step(carry, x)

        def forecast(step: nn.Module, carry: Any, _: None) -> tuple[Any, Array]:
            state, x = step(*carry)
            return (state, x), x

        shared: dict[str, Any] = {
            "variable_broadcast": "params",
            "split_rngs": {"params": False},
        }
        carry, predicted = nn.scan(encode, in_axes=1, out_axes=1, **shared)(step, carry, blocks)
        first = predicted[:, -1]
        more = nn.scan(forecast, out_axes=1, length=self.frames_out - 1, **shared)
        following = more(step, (carry, first), None)[1]
        return _frames(jnp.concatenate([first[:, None], following], 1), self.patch)


class Convolutional(nn.Module):
    """Predicts all frames at once by convolutions, without recurrence (SimVP, Gao et al. 2022).

    It maps a video [batch, frames, h, w, c], always of as many frames, to the frames after it
    [batch, frames_out, h, w, c]. Frames are encoded one by one; their channels are joined,
    translated by residual blocks at the size of the grid of blocks of pixels and at half of it, and
    decoded frame by frame. Each prediction is the last frame of the video plus a change, which is 0
    before training.

    Attributes:
        frames_out: number of frames that are predicted.
        width: channels of an encoded frame.
        hidden: channels of the translator; twice as many at half size.
        depth: number of residual blocks at the grid's size (as many before the half and after it),
            and at half of it.
        patch: height and width of a block in pixels; twice that divides those of the frames.
    """

    frames_out: int
    width: int = 32
    hidden: int = 128
    depth: tuple[int, int] = (1, 3)
    patch: int = 4

    @nn.compact
    def __call__(self, video: Array) -> Array:
        """Predicts what follows; arguments and result as of `ConvLSTM`."""
        batch, frames = video.shape[:2]
        blocks = _blocks(video, self.patch)
        h, w, channels = blocks.shape[2:]
        x = blocks.reshape(batch * frames, h, w, channels)
        x = jax.nn.silu(nn.Conv(self.width, (3, 3), name="encode")(x))
        x = x.reshape(batch, frames, h, w, -1).transpose(0, 2, 3, 1, 4).reshape(batch, h, w, -1)
        x = nn.Dense(self.hidden, name="join")(x)
        for layer in range(self.depth[0]):
            x = _Residual(name=f"before_{layer}")(x)
        small = nn.Dense(2 * self.hidden, name="down")(space_to_depth(x, 2))
        for layer in range(self.depth[1]):
            small = _Residual(name=f"middle_{layer}")(small)
        x = x + depth_to_space(nn.Dense(4 * self.hidden, name="up")(small), 2)
        for layer in range(self.depth[0]):
            x = _Residual(name=f"after_{layer}")(x)
        x = nn.Dense(self.frames_out * self.width, name="part")(LayerNorm(name="norm")(x))
        x = x.reshape(batch, h, w, self.frames_out, -1).transpose(0, 3, 1, 2, 4)
        x = jax.nn.silu(x.reshape(batch * self.frames_out, h, w, -1))
        last = nn.Conv(channels, (3, 3), kernel_init=nn.initializers.zeros, name="decode")(x)
        change = last.reshape(batch, self.frames_out, h, w, channels)
        return _frames(blocks[:, -1:] + change, self.patch)


class _Residual(nn.Module):
    """x + conv(silu(conv(silu(norm x)))), 3x3; the second one begins at zero."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        y = nn.Conv(width, (3, 3))(jax.nn.silu(LayerNorm()(x)))
        return x + nn.Conv(width, (3, 3), kernel_init=nn.initializers.zeros)(jax.nn.silu(y))


def _blocks(video: Array, patch: int) -> Array:
    """[batch, frames, h, w, c] -> [batch, frames, h / patch, w / patch, patch^2 c]."""
    x = space_to_depth(video.reshape(-1, *video.shape[2:]), patch)
    return x.reshape(*video.shape[:2], *x.shape[1:])


def _frames(blocks: Array, patch: int) -> Array:
    """The inverse of `_blocks`."""
    x = depth_to_space(blocks.reshape(-1, *blocks.shape[2:]), patch)
    return x.reshape(*blocks.shape[:2], *x.shape[1:])
