"""Learning-rate schedules: the curve that follows a linear warm-up."""

from __future__ import annotations

from typing import Literal, Protocol

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from dlcore.train import optim

Schedule = Literal["constant", "linear", "cosine", "step", "inverse_sqrt", "wsd", "restarts"]


class Shape(Protocol):
    """The fields of a schedule; `dlcore.train.recipe.Recipe` documents them."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def lr(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def drops(self) -> tuple[float, ...]: ...
    @property
    def drop_factor(self) -> float: ...
    @property
    def decay_fraction(self) -> float: ...
    @property
    def cycles(self) -> int: ...
    @property
    def cycle_growth(self) -> int: ...


def curve(shape: Shape, steps: int, warmup: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step, counted from 0.

    Args:
        shape: the schedule and its parameters; after the warm-up the rate is:
            constant      lr
            linear        linear decay to end * lr at `steps`
            cosine        half a cosine (Loshchilov & Hutter 2017) to end * lr at `steps`
            step          lr, multiplied by `drop_factor` at each of `drops`, fractions of `steps`
            inverse_sqrt  lr * sqrt(warmup / step) (Vaswani et al. 2017, sec. 5.3); without a
                          warm-up lr / sqrt(1 + step)
            wsd           lr, then linear decay to end * lr in the last `decay_fraction` of the
                          steps (warm-up, stable, decay: Hu et al. 2024)
            restarts      `cycles` half cosines to end * lr, each `cycle_growth` times as long as
                          the one before (SGDR: Loshchilov & Hutter 2017)
        steps: number of all steps.
        warmup: number of steps of the linear warm-up from 0 to lr, fewer than `steps`.

    Raises:
        ValueError: a cosine, or a linear decay to 0, whose warm-up is not shorter than `steps`.
    """
    peak, low = shape.lr, shape.lr * shape.end
    if shape.schedule == "cosine":
        return optim.warmup_cosine(peak, steps, warmup, low)
    if shape.schedule == "linear" and not low:
        return optim.warmup_linear(peak, steps, warmup)
    after = _after_warmup(shape, peak, low, steps, warmup)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def _after_warmup(
    shape: Shape,
    peak: float,
    low: float,
    steps: int,
    warmup: int,
) -> optax.Schedule:
    """The rate as a function of the number of steps after the warm-up."""
    remaining = steps - warmup
    if shape.schedule == "linear":
        return optax.linear_schedule(peak, low, remaining)
    if shape.schedule == "step":
        drops = [max(0, round(fraction * steps) - warmup) for fraction in shape.drops]
        return _steps(peak, shape.drop_factor, drops)
    if shape.schedule == "inverse_sqrt":
        return _inverse_sqrt(peak, max(1, warmup))
    if shape.schedule == "wsd":
        decay_steps = min(remaining, max(1, round(shape.decay_fraction * steps)))
        return optax.linear_schedule(
            peak, low, decay_steps, transition_begin=remaining - decay_steps
        )
    if shape.schedule == "restarts":
        return _restarts(peak, low, remaining, shape.cycles, shape.cycle_growth)
    return optax.constant_schedule(peak)


def _steps(peak: float, factor: float, drops: list[int]) -> optax.Schedule:
    def rate(step: ArrayLike) -> ArrayLike:
        count = sum((jnp.asarray(step) >= each).astype(jnp.float32) for each in drops)
        return peak * jnp.power(factor, count)

    return rate


def _inverse_sqrt(peak: float, warmup: int) -> optax.Schedule:
    return lambda step: peak * jnp.sqrt(warmup / (warmup + jnp.asarray(step)))


def _restarts(peak: float, low: float, steps: int, cycles: int, growth: int) -> optax.Schedule:
    """Cosine cycles of whole steps, with lengths proportional to growth ** cycle, up to `steps`."""
    lengths = [growth**cycle for cycle in range(cycles)]
    ends = [round(steps * sum(lengths[: cycle + 1]) / sum(lengths)) for cycle in range(cycles)]
    cycle_steps = [stop - start for start, stop in zip([0, *ends], ends, strict=False)]
    alpha = low / peak if peak else 0.0
    cosines = [optax.cosine_decay_schedule(peak, max(1, length), alpha) for length in cycle_steps]
    return optax.join_schedules(cosines, ends[:-1])
