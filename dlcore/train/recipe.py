"""An optimizer and its learning-rate schedule as one dataclass, whose fields are flags."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from dlcore import bounds
from dlcore.bounds import NonNegativeFloat, PositiveInt, Probability, Range, Rate
from dlcore.errors import UsageError
from dlcore.sharding import STACKED
from dlcore.train import optim
from dlcore.train.optim import Averaged, Tree
from dlcore.train.schedules import Schedule, curve

Kind = Literal[
    "sgd",
    "adam",
    "adamw",
    "rmsprop",
    "lion",
    "muon",
    "adafactor",
    "lamb",
    "schedule_free_adamw",
]
_MADE_BY_OPTIM = ("sgd", "adam", "adamw", "lion", "muon")
_WITH_END = ("linear", "cosine", "wsd", "restarts")
_BLOCK = re.compile(r"(?:^|/)block_(\d+)(?=/|$)")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How parameters are trained. `recipe(steps)` makes the Optax transformation.

    Attributes:
        optimizer: sgd, adam (Kingma & Ba 2015; weight decay is coupled: L2), adamw (Loshchilov &
        Hutter
            2019), rmsprop (Hinton 2012), lion (Chen et al. 2023), muon (Jordan et al. 2024, for
            matrices of dense layers; Adam for the rest), adafactor (Shazeer & Stern 2018), lamb
            (You et al. 2020), schedule_free_adamw (Defazio et al. 2024).
        lr: the peak learning rate.
        end: the last learning rate as a fraction of `lr`; of linear, cosine, wsd and restarts.
        warmup: linear warm-up from 0: a fraction of the steps if below 1, else a number of steps,
            of which at most a fifth of all steps is taken, so that short trials descend too.
        schedule: what follows the warm-up, see `dlcore.train.schedules`.
        weight_decay: of matrices alone (`optim.matrices`), per step times the learning rate.
        clip_norm: the largest global norm of the gradient; 0: no clipping.
        b1: momentum of sgd, muon, rmsprop and adafactor, the first beta of the others. None: 0.9,
            but none for rmsprop and adafactor.
        b2: the second beta; None: 0.999, but 0.99 for lion, 0.9 for rmsprop. sgd and adafactor
            have none and ignore it.
        nesterov: whether the momentum of sgd is Nesterov's.
        layer_decay: the learning rate of layer i of L is that of the head times
            layer_decay ** (L - i). Layers are modules named block_N or stacked ones; all that
            precedes them ("embed", "stem", "patch" and "positions" begin their names) is layer -1.
        drops: of the schedule step: the fractions of the steps at which the rate drops.
        drop_factor: of step: what the rate is multiplied by at each drop (He et al. 2016).
        decay_fraction: of wsd: the last fraction of the steps, which descends.
        cycles: of the schedule restarts: the number of cycles.
        cycle_growth: of restarts: the factor by which each cycle is longer than the one before.
    """

    optimizer: Kind = "adamw"
    lr: NonNegativeFloat = 1e-3
    end: Probability = 0.0
    warmup: NonNegativeFloat = 0.05
    schedule: Schedule = "cosine"
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: NonNegativeFloat = 0.0
    b1: Rate | None = None
    b2: Rate | None = None
    nesterov: bool = True
    layer_decay: Annotated[float, Range(0, 1, "(]")] = 1.0
    drops: tuple[Annotated[float, Range(0, 1, "()")], ...] = (0.5, 0.75)
    drop_factor: Annotated[float, Range(0, 1, "()")] = 0.1
    decay_fraction: Annotated[float, Range(0, 1, "(]")] = 0.2
    cycles: PositiveInt = 3
    cycle_growth: PositiveInt = 2

    def __post_init__(self) -> None:
        # A whole number is written as one, and read back from a card as a float.
        for name in ("lr", "end", "warmup", "weight_decay", "clip_norm"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def __call__(self, steps: int, ema: float = 0.0) -> optax.GradientTransformation:
        """The optimizer for so many updates.

        Args:
            steps: the number of updates, at least 1.
            ema: the decay of the parameter average that it keeps (`optim.average`); 0: none.

        Raises:
            UsageError: a number outside of its range, or two fields that exclude each other.
        """
        self._check(steps)
        if not 0 <= ema < 1:
            raise UsageError(
                f"--ema {ema} is outside [0, 1): it is what an average keeps at each step"
            )
        rate = self._rate(steps)
        if self.optimizer == "schedule_free_adamw":
            if ema:
                raise UsageError(
                    f"--ema {ema}: schedule_free_adamw keeps an average of its own; give 0"
                )
            return self._schedule_free(rate)
        optimizer = self._optimizer(rate)
        if self.layer_decay != 1:
            optimizer = optax.chain(optimizer, layerwise(self.layer_decay))
        return optim.averaged(optimizer, ema) if ema else optimizer

    def rate(self, steps: int) -> optax.Schedule:
        """The learning rate as a function of the step, 0 for the first. Raises as `__call__`."""
        self._check(steps)
        rate = self._rate(steps)
        return rate if callable(rate) else optax.constant_schedule(rate)

    def warmup_steps(self, steps: int) -> int:
        """The number of steps of warm-up among so many."""
        if self.warmup >= 1:
            return optim.short_warmup(int(self.warmup), steps)
        # 0.1 * 30 steps are 3, whatever 0.1 is in binary
        return math.floor(self.warmup * steps + 1e-9)

    def _rate(self, steps: int) -> float | optax.Schedule:
        """A number where it never changes: then the optimizer keeps no count of steps."""
        warmup = self.warmup_steps(steps)
        if self.schedule == "constant" and not warmup:
            return self.lr
        return curve(self, steps, warmup)

    def _optimizer(self, rate: float | optax.Schedule) -> optax.GradientTransformation:
        if self.optimizer in _MADE_BY_OPTIM and (self.nesterov or self.optimizer != "sgd"):
            b1 = 0.9 if self.b1 is None else self.b1
            how = {
                "decay": self.weight_decay,
                "clip": self.clip_norm,
                "momentum": b1,
                "b2": self.b2,
            }
            return optim.make(self.optimizer, rate, **how)  # type: ignore[arg-type]
        # The trust ratio of lamb is of the update with its decay; elsewhere the decay is beside it.
        last = [optax.scale_by_trust_ratio()] if self.optimizer == "lamb" else []
        scaled = [*self._scaled(), *self._decay(), *last]
        return optax.chain(*self._clip(), *scaled, optax.scale_by_learning_rate(rate))

    def _scaled(self) -> list[optax.GradientTransformation]:
        """The gradient scaled to an update, without learning rate and weight decay."""
        momentum = 0.0 if self.b1 is None else self.b1
        if self.optimizer == "sgd":
            return [optax.trace(0.9 if self.b1 is None else self.b1)]
        if self.optimizer == "rmsprop":
            scale = optax.scale_by_rms(0.9 if self.b2 is None else self.b2)
            return [scale, optax.trace(momentum)] if momentum else [scale]
        if self.optimizer == "adafactor":
            parts = [optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0)]
            parts.append(optax.scale_by_param_block_rms())
            return [*parts, optax.ema(momentum, debias=False)] if momentum else parts
        b1, b2 = self._betas()
        return [optax.scale_by_adam(b1, b2, eps=1e-6)]  # lamb's epsilon

    def _betas(self) -> tuple[float, float]:
        return 0.9 if self.b1 is None else self.b1, 0.999 if self.b2 is None else self.b2

    def _clip(self) -> list[optax.GradientTransformation]:
        return [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []

    def _decay(self) -> list[optax.GradientTransformation]:
        if not self.weight_decay:
            return []
        return [optax.add_decayed_weights(self.weight_decay, mask=optim.matrices)]

    def _schedule_free(self, rate: float | optax.Schedule) -> optax.GradientTransformation:
        """Schedule-free AdamW, whose average is in `Averaged`, where evaluation looks for it."""
        b1, b2 = self._betas()
        rms = optax.scale_by_rms(b2, eps_in_sqrt=False, bias_correction=True)
        layers = [layerwise(self.layer_decay)] if self.layer_decay != 1 else []
        lr = optax.scale_by_learning_rate(rate)
        base = optax.chain(*self._clip(), rms, *self._decay(), lr, *layers)
        inner = contrib.schedule_free(base, rate, b1)

        def update(
            grads: Tree,
            state: Averaged,
            params: Tree | None = None,
        ) -> tuple[Tree, Averaged]:
            updates, after = inner.update(grads, state.inner, params)
            now = jax.tree.map(lambda p, u: p + u, params, updates)
            return updates, Averaged(after, contrib.schedule_free_eval_params(after, now))

        def init(params: Tree) -> Averaged:
            return Averaged(inner.init(params), params)

        return optax.GradientTransformation(init, update)  # type: ignore[arg-type]

    def _check(self, steps: int) -> None:
        """Raises UsageError, which names the field."""
        bounds.check(self)
        if steps < 1:
            raise UsageError(f"--steps {steps} is too small: an optimizer needs 1 at least")
        if self.warmup > 1 and self.warmup != int(self.warmup):
            raise UsageError(f"--warmup {self.warmup} is neither a fraction nor a number of steps")
        if self.end and self.schedule not in _WITH_END:
            usable = ", ".join(_WITH_END)
            raise UsageError(
                f"--end {self.end} is not of --schedule {self.schedule}: take {usable}, or 0"
            )
        if self.schedule == "step" and list(self.drops) != sorted(set(self.drops)):
            raise UsageError(
                f"--drops {self.drops} must be fractions of the steps in ascending order"
            )
        if self.schedule == "restarts" and self.cycles > steps - self.warmup_steps(steps):
            raise UsageError(f"--cycles {self.cycles} do not fit into {steps} steps: give fewer")
        if self.optimizer == "schedule_free_adamw":
            self._check_schedule_free()

    def _check_schedule_free(self) -> None:
        if self.schedule != "constant":
            raise UsageError(
                f"--schedule {self.schedule}: schedule_free_adamw averages in its place; take"
                " --schedule constant, with a warm-up"
            )
        if self.b1 == 0:
            raise UsageError(
                "--b1 0.0: schedule_free_adamw divides by it; give more than 0, as 0.9"
            )


def layerwise(factor: float) -> optax.GradientTransformation:
    """Multiplies the updates of layer i of L by factor ** (L - i); see `Recipe.layer_decay`.

    Source: Clark et al. 2020 (ELECTRA), Bao et al. 2022. UsageError: no parameter is in a layer.
    """

    def update(updates: Tree, state: Any, params: Tree | None = None) -> tuple[Tree, Any]:
        depth = _depth(updates)
        scaled = jax.tree_util.tree_map_with_path(
            lambda path, u: u * _factors(_name(path), u, factor, depth), updates
        )
        return scaled, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _factors(name: str, update: jax.Array, factor: float, depth: int) -> Any:
    """What an update is multiplied by: a number, or an array over its leading axis of layers."""
    if STACKED.search(name):
        powers = jnp.asarray(factor, update.dtype) ** jnp.arange(depth, 0, -1, dtype=update.dtype)
        return powers.reshape(-1, *(1,) * (update.ndim - 1))
    if found := _BLOCK.search(name):
        return factor ** (depth - int(found[1]))
    first = any(
        part.startswith(("embed", "stem", "patch", "positions")) for part in name.split("/")
    )
    return factor ** (depth + 1) if first else 1.0


def _depth(tree: Tree) -> int:
    """The number of layers. UsageError: there are none."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    numbered = [int(found[1]) + 1 for path, _ in leaves if (found := _BLOCK.search(_name(path)))]
    stacked = [leaf.shape[0] for path, leaf in leaves if STACKED.search(_name(path))]
    if not numbered + stacked:
        raise UsageError("--layer-decay finds no layers (modules block_N or blocks): give 1")
    return max(numbered + stacked)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
