"""Rotary positions with another base, a partial rotation, and scaling to longer contexts."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

Scaling = Literal["none", "linear", "ntk", "yarn"]


@dataclasses.dataclass(frozen=True)
class Rope:
    """Frequencies of rotary positions (Su et al. 2021).

    Attributes:
        base: frequency i of d/2 is base^(-2i/d), where d is the number of rotated features; above
            0, for yarn above 1.
        fraction: of the features of a head that are rotated, in (0, 1]: the first ones. The others
            pass unchanged (partial form, as in GPT-NeoX).
        scaling: how the frequencies are changed for contexts longer than in training.
            none: not at all; `factor` has no effect.
            linear: divided by `factor` (position interpolation, Chen et al. 2023).
            ntk: `base` is multiplied by factor^(d / (d - 2)), so that the lowest frequency is
            divided by `factor` and the highest is unchanged (NTK-aware interpolation).
            yarn: frequencies with fewer than `slow` periods in `context` are divided by `factor`,
            those with more than `fast` are unchanged, those between are mixed linearly in their
            index i (in the paper linearly in the periods; libraries use the index); queries and
            keys are multiplied by 0.1 ln(factor) + 1 (Peng et al. 2023, eq. 22 and sec. 3.2-3.4).
        factor: ratio of the longer context to that of training, at least 1.
        context: tokens of the context in training, at least 1, for yarn alone.
        fast, slow: periods in `context` between which yarn mixes; `slow` is the smaller.

    Raises:
        ValueError: a number outside its range.
    """

    base: float = 10000.0
    fraction: float = 1.0
    scaling: Scaling = "none"
    factor: float = 1.0
    context: int = 0
    fast: float = 32.0
    slow: float = 1.0

    def __post_init__(self) -> None:
        if self.base <= 0 or not 0 < self.fraction <= 1 or self.factor < 1:
            raise ValueError(
                f"rotary positions need a base above 0, a fraction in (0, 1] and a factor of at"
                f" least 1, not {self.base}, {self.fraction} and {self.factor}"
            )
        if self.scaling not in get_args(Scaling):
            raise ValueError(f"scaling {self.scaling!r} is none of {', '.join(get_args(Scaling))}")
        if self.scaling == "yarn" and self.context < 1:
            raise ValueError("yarn needs `context`: the tokens of the context in training")
        if self.scaling == "yarn" and self.slow >= self.fast:
            raise ValueError(f"yarn needs slow below fast, not {self.slow} and {self.fast}")
        if self.scaling == "yarn" and self.base <= 1:
            raise ValueError(f"yarn needs a base above 1, not {self.base}")

    def rotated(self, d: int) -> int:
        """Returns how many features of a head of size d are rotated: d * fraction, rounded down.

        Raises:
            ValueError: the number is odd or 0.
        """
        n = int(d * self.fraction + 1e-6)  # 200 * 0.29 is just below 58
        if n < 2 or n % 2:
            raise ValueError(f"rotary positions rotate pairs, and {n} of {d} features are none")
        return n

    def frequencies(self, d: int) -> Float[np.ndarray, " half"]:
        """Computes by which angle each rotated pair of features turns per position, in radians.

        Args:
            d: number of features of a head.

        Returns:
            float64 [n / 2] for n = rotated(d) features, after `scaling`, without `magnitude`.

        Raises:
            ValueError: n is odd or 0.
        """
        n = self.rotated(d)
        exponent = np.arange(0, n, 2) / n
        if self.scaling == "ntk":
            # two features are one frequency, of exponent 0: no base changes it
            grown = self.base if n == 2 else self.base * self.factor ** (n / (n - 2))
            return np.asarray(grown**-exponent)
        plain = self.base**-exponent
        if self.scaling == "linear":
            return np.asarray(plain / self.factor)
        if self.scaling == "none":
            return np.asarray(plain)
        low, high = (self._index(periods, n) for periods in (self.fast, self.slow))
        low, high = max(math.floor(low), 0), min(math.ceil(high), n - 1)
        ramp = np.clip((np.arange(n // 2) - low) / max(high - low, 1e-3), 0, 1)
        return np.asarray(plain * (1 - ramp) + plain / self.factor * ramp)

    def _index(self, periods: float, n: int) -> float:
        """The index at which a frequency has so many periods in the context of training."""
        return n * math.log(self.context / (periods * 2 * math.pi)) / (2 * math.log(self.base))

    @property
    def magnitude(self) -> float:
        """The factor by which rotated features of queries and keys are multiplied."""
        return 0.1 * math.log(self.factor) + 1 if self.scaling == "yarn" else 1.0


PLAIN = Rope()


def scaled_rotary(
    x: Float[Array, "*batch length d"], position: Shaped[Array, " ..."], rope: Rope
) -> Float[Array, "*batch length d"]:
    """Rotates the pairs (x[i], x[i + n/2]) of the first n features by position times frequency.

    Args:
        x: queries or keys [..., length, d].
        position: positions of any shape that broadcasts to that of `x` without d.
        rope: frequencies, the number n of rotated features, and their magnitude.

    Returns:
        Rotated queries or keys, shape and dtype of `x`.

    Raises:
        ValueError: n is odd or 0.

    Source: Su et al. 2021, eq. 34; for scaling see `Rope`.
    """
    n, acc_dtype = rope.rotated(x.shape[-1]), jnp.promote_types(x.dtype, jnp.float32)
    frequency = jnp.asarray(rope.frequencies(x.shape[-1]), acc_dtype)
    angle = position[..., None].astype(acc_dtype) * frequency.reshape((1,) * position.ndim + (-1,))
    a, b, rest = x[..., : n // 2], x[..., n // 2 : n], x[..., n:]
    cos, sin = (
        jnp.broadcast_to((f(angle) * rope.magnitude).astype(x.dtype), a.shape)
        for f in (jnp.cos, jnp.sin)
    )
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos, rest], -1)
