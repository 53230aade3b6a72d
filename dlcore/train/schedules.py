"""Learning-rate schedules: the curve that follows a linear warm-up."""

from __future__ import annotations

from typing import Literal, Protocol

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from dlcore.train import optim

Schedule = Literal["constant", "linear", "cosine", "step", "inverse_sqrt", "wsd", "restarts"]


class Shape(Protocol):
    """What a curve is drawn from; `dlcore.train.recipe.Recipe` documents the fields."""

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
    """The learning rate as a function of the step, 0 for the first.

    Args:
        shape: the schedule and its numbers:
            constant      lr
            linear        down to end * lr at `steps`
            cosine        half a cosine (Loshchilov & Hutter 2017) down to end * lr at `steps`
            step          times `drop_factor` at each of `drops`, fractions of the steps
            inverse_sqrt  lr * sqrt(warmup / step) (Vaswani et al. 2017, sec. 5.3)
            wsd           lr, then linear down to end * lr in the last `decay_fraction` of the steps
                          (warm-up, stable, decay: Hu et al. 2024)
            restarts      `cycles` half cosines to end * lr, each `cycle_growth` times as long as
                          the one before (SGDR: Loshchilov & Hutter 2017)
        steps: the number of all steps.
        warmup: the number of steps of the linear warm-up from 0, fewer than `steps`.
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
    """The curve as a function of the steps after the warm-up."""
    rest = steps - warmup
    if shape.schedule == "linear":
        return optax.linear_schedule(peak, low, rest)
    if shape.schedule == "step":
        at = [max(0, round(fraction * steps) - warmup) for fraction in shape.drops]
        return _steps(peak, shape.drop_factor, at)
    if shape.schedule == "inverse_sqrt":
        return _inverse_sqrt(peak, max(1, warmup))
    if shape.schedule == "wsd":
        decay = min(rest, max(1, round(shape.decay_fraction * steps)))
        return optax.linear_schedule(peak, low, decay, transition_begin=rest - decay)
    if shape.schedule == "restarts":
        return _restarts(peak, low, rest, shape.cycles, shape.cycle_growth)
    return optax.constant_schedule(peak)


def _steps(peak: float, factor: float, at: list[int]) -> optax.Schedule:
    def rate(step: ArrayLike) -> ArrayLike:
        drops = sum((jnp.asarray(step) >= each).astype(jnp.float32) for each in at)
        return peak * jnp.power(factor, drops)

    return rate


def _inverse_sqrt(peak: float, warmup: int) -> optax.Schedule:
    return lambda step: peak * jnp.sqrt(warmup / (warmup + jnp.asarray(step)))


def _restarts(peak: float, low: float, steps: int, cycles: int, growth: int) -> optax.Schedule:
    """Cycles of whole steps, in proportion to growth ** cycle; the last one ends at `steps`."""
    parts = [growth**cycle for cycle in range(cycles)]
    bounds = [round(steps * sum(parts[: cycle + 1]) / sum(parts)) for cycle in range(cycles)]
    lengths = [stop - start for start, stop in zip([0, *bounds], bounds, strict=False)]
    alpha = low / peak if peak else 0.0
    each = [optax.cosine_decay_schedule(peak, max(1, length), alpha) for length in lengths]
    return optax.join_schedules(each, bounds[:-1])
