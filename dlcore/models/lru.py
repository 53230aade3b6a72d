"""Linear recurrent units (Orvieto et al. 2023): diagonal recurrences between pointwise layers."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Integer

from dlcore.kernels.activations import gelu
from dlcore.kernels.recurrence import diagonal_recurrence
from dlcore.models.layers import Dropout, LayerNorm


class LRU(nn.Module):
    """Linear recurrent unit: h_t = a h_{t-1} + e^g B x_t, y_t = Re(C h_t) + D x_t, with complex h.

    x and y are [length, batch, n], and h is 0 before the first step; a, e^g and D are vectors that
    multiply elementwise. |a| < 1, for a = exp(-exp(nu) + i exp(theta)). At initialisation a is
    uniform over the area of the ring min_radius <= |a| <= max_radius, its angle is uniform between
    max_phase / 1000 and max_phase, and for inputs of white noise the states have the variance of
    the inputs. The parameters are nu ("size"), theta ("angle") and g ("scale"), each [states]:
    bfloat16 cannot represent small differences of |a| near 1, but it can represent those of nu.

    Attributes:
        states: number of complex states.
        min_radius, max_radius: smallest and largest |a| at initialisation.
        max_phase: largest angle at initialisation, in radians.

    Source: Orvieto et al. 2023, eq. 1 and 7.
    """

    states: int
    min_radius: float = 0.9
    max_radius: float = 0.999
    max_phase: float = 6.28

    @nn.compact
    def __call__(self, x: Float[Array, "length batch n"]) -> Float[Array, "length batch n"]:
        """Applies the unit along the first axis of x [length, batch, n]; returns the same shape."""
        (length, batch, n), s = x.shape, self.states

        def ring(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
            # uniform in area
            square = jax.random.uniform(key, shape, dtype, self.min_radius**2, self.max_radius**2)
            return jnp.log(-0.5 * jnp.log(square))

        def angles(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
            return jnp.log(jax.random.uniform(key, shape, dtype, 1e-3, 1) * self.max_phase)

        size, angle = self.param("size", ring, (s,)), self.param("angle", angles, (s,))
        acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
        rate, phase = jnp.exp(size.astype(acc_dtype)), jnp.exp(angle.astype(acc_dtype))
        decay = jnp.concatenate([jnp.exp(-rate) * jnp.cos(phase), jnp.exp(-rate) * jnp.sin(phase)])
        # With this scale the states have the variance of an input of white noise.
        scale = jnp.exp(
            self.param(
                "scale", lambda _, shape: 0.5 * jnp.log(-jnp.expm1(-2 * jnp.exp(size))), (s,)
            )
        )
        flat = x.reshape(-1, n)
        driven = nn.Dense(
            2 * s, use_bias=False, kernel_init=nn.initializers.normal((2 * n) ** -0.5), name="in"
        )(flat)
        driven = driven * jnp.concatenate([scale, scale])[None].astype(x.dtype)
        h = diagonal_recurrence(decay, driven.reshape(length, batch, 2 * s))
        skip = self.param("skip", nn.initializers.normal(1.0), (n,), jnp.float32)
        y = nn.Dense(n, use_bias=False, kernel_init=nn.initializers.normal(s**-0.5), name="out")(
            h.reshape(-1, 2 * s)
        )
        return (y + flat * skip[None]).reshape(x.shape)


class Block(nn.Module):
    """Applies a residual block: x + glu(gelu(lru(norm(x)))).

    Maps x [length, batch, n], time first, and each example's index [batch] (None: no dropout) to
    the shape of x.

    Attributes:
        states, min_radius, max_radius, max_phase: as of `LRU`.
        dropout: rate of dropout after the gate.

    Source: Orvieto et al. 2023, sec. 2; Dauphin et al. 2017 for the gate.
    """

    states: int
    min_radius: float
    max_radius: float
    max_phase: float
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "length batch n"], row: Integer[Array, " batch"] | None
    ) -> Float[Array, "length batch n"]:
        """Maps x [length, batch, n] to the same shape; `row` [batch] turns dropout on."""
        n = x.shape[-1]
        y = gelu(
            LRU(self.states, self.min_radius, self.max_radius, self.max_phase, name="lru")(
                LayerNorm(name="norm")(x)
            )
        )
        value, gate = jnp.split(nn.Dense(2 * n, name="gate")(y.reshape(-1, n)), 2, -1)
        y = (value * jax.nn.sigmoid(gate)).reshape(x.shape)
        if row is not None and self.dropout:
            y = Dropout(self.dropout)(y.swapaxes(0, 1), row).swapaxes(0, 1)
        return x + y


class Classifier(nn.Module):
    """Classifies sequences: a dense layer, LRU blocks, the mean over time and a dense layer.

    Maps sequences [batch, length, n], all of one length, to logits [batch, classes].

    Attributes:
        width: features of each block.
        states, min_radius, max_radius, max_phase: as of `LRU`.
        layers: number of blocks.
        classes: number of classes.
        dropout: rate of dropout in each block.
    """

    width: int
    states: int
    layers: int
    classes: int
    dropout: float = 0.0
    min_radius: float = 0.9
    max_radius: float = 0.999
    max_phase: float = 6.28

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length n"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Computes logits [batch, classes].

        Args:
            x: sequences [batch, length, n].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        x, row = x.swapaxes(0, 1), row if train else None
        length, batch, n = x.shape
        x = nn.Dense(self.width, name="encoder")(x.reshape(-1, n)).reshape(
            length, batch, self.width
        )
        for layer in range(self.layers):
            x = Block(
                self.states,
                self.min_radius,
                self.max_radius,
                self.max_phase,
                self.dropout,
                name=f"block_{layer}",
            )(x, row)
        return nn.Dense(self.classes, name="head")(LayerNorm(name="norm")(x).mean(0))
